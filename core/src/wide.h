/* 128-bit integers, which ISO C lacks and both compilers have. */
#ifndef SENTINEL_WIDE_H
#define SENTINEL_WIDE_H

__extension__ typedef unsigned __int128 wide_u128;
__extension__ typedef __int128 wide_i128;

#endif
