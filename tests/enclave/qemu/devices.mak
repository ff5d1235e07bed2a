# The devices of the one machine that the tests boot.
CONFIG_MICROVM=y
CONFIG_NITRO_ENCLAVE=y
CONFIG_ISA_BUS=y
