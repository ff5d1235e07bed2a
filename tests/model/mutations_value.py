"""Mistakes in the value of orders, one for each part of each formula."""

from __future__ import annotations

from tests.model.mutation import policy

VALUE = (
    policy(
        "the multiplier is applied to every unit",
        "policy_value.c",
        "if (subject->instrument->quantity_unit == SENTINEL_UNIT_CONTRACTS) {",
        "{",
    ),
    policy(
        "a worst price counts for limit orders alone",
        "policy_value.c",
        "int limited = (subject->present & SENTINEL_PRESENT_PRICE) != 0;",
        "int limited = (subject->present & SENTINEL_PRESENT_PRICE) != 0 && subject->type % 2 == "
        "(subject->type == 1);",
    ),
    policy(
        "the band is added to a worst price",
        "policy_value.c",
        "*banded = !limited;",
        "*banded = !limited || subject->type == SENTINEL_TYPE_MARKET;",
    ),
    policy(
        "an inverse contract is multiplied by its price",
        "policy_value.c",
        "instrument->contract != SENTINEL_CONTRACT_INVERSE;",
        "1;",
    ),
    policy(
        "a quanto contract is paid in its quote asset",
        "policy_value.c",
        "instrument->contract == SENTINEL_CONTRACT_QUANTO ? instrument->settle",
        "0 ? instrument->settle",
    ),
    policy(
        "every contract is paid in its settle asset",
        "policy_value.c",
        "instrument->contract == SENTINEL_CONTRACT_QUANTO ? instrument->settle",
        "instrument->settle != 0 ? instrument->settle",
    ),
    policy(
        "an option's sell is valued at its premium",
        "policy_value.c",
        "if (instrument->contract == SENTINEL_CONTRACT_OPTION && subject->side != "
        "SENTINEL_SIDE_BUY) {",
        "if (0) {",
    ),
    policy(
        "an option's buy is valued as a sell",
        "policy_value.c",
        "if (instrument->contract == SENTINEL_CONTRACT_OPTION && subject->side != "
        "SENTINEL_SIDE_BUY) {",
        "if (instrument->contract == SENTINEL_CONTRACT_OPTION) {",
    ),
    policy(
        "an option's strike is always in USD",
        "policy_value.c",
        "if (instrument->quote != instrument->base) {",
        "if (0) {",
    ),
    policy(
        "an option's strike is always in the quote asset",
        "policy_value.c",
        "if (instrument->quote != instrument->base) {",
        "{",
    ),
    policy(
        "an option's base is asked for before its quote",
        "policy_value.c",
        "    if (instrument->quote != instrument->base) { /* else the strike is in USD */\n",
        "    reason = mark_of(&base_usd, view, instrument->base, now_ns);\n"
        "    if (reason == 0 && instrument->quote != instrument->base) {\n",
    ),
    policy(
        "an option's strike alone counts",
        "policy_value.c",
        "value > value_other ? value : value_other;",
        "value;",
    ),
    policy(
        "an option's base alone counts",
        "policy_value.c",
        "value > value_other ? value : value_other;",
        "other.mantissa != 0 ? value_other : value;",
    ),
    policy(
        "the less of an option's products counts",
        "policy_value.c",
        "value > value_other ? value : value_other;",
        "other.mantissa != 0 && value > value_other ? value_other : value;",
    ),
    policy(
        "an option's base product may overflow",
        "policy_value.c",
        "if (value < 0 || value_other < 0) {",
        "if (value < 0) {",
    ),
    policy(
        "an option's strike product may overflow",
        "policy_value.c",
        "if (value < 0 || value_other < 0) {",
        "if (value < 0 && value_other <= 0) {",
    ),
    policy(
        "a quote quantity of any contract is valued",
        "policy_value.c",
        "return policy_takes_quote_quantity(instrument)\n",
        "return 1\n",
    ),
    policy(
        "a quote quantity of an option in base units is measured",
        "policy_limit.c",
        "!policy_takes_quote_quantity(subject->instrument) ||",
        "",
    ),
)
