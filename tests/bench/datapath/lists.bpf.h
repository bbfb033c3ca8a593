/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* LIST_8(M) is M(00) M(01) … M(07): two octal digits each, as names (c##00) and, behind a 0, as values (000). */

#define LIST_OF_8(M, t) M(t##0) M(t##1) M(t##2) M(t##3) M(t##4) M(t##5) M(t##6) M(t##7)

#define LIST_1(M)  M(00)
#define LIST_2(M)  M(00) M(01)
#define LIST_4(M)  M(00) M(01) M(02) M(03)
#define LIST_8(M)  LIST_OF_8(M, 0)
#define LIST_10(M) LIST_8(M) M(10) M(11)
#define LIST_16(M) LIST_8(M) LIST_OF_8(M, 1)
#define LIST_32(M) LIST_16(M) LIST_OF_8(M, 2) LIST_OF_8(M, 3)
#define LIST_64(M) LIST_32(M) LIST_OF_8(M, 4) LIST_OF_8(M, 5) LIST_OF_8(M, 6) LIST_OF_8(M, 7)
