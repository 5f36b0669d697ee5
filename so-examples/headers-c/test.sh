#!/bin/sh
# Builds the module as the README says, then its test with sanitizers, and
# runs that.
set -eu
cd "$(dirname "$0")"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
warnings="-std=c11 -Wall -Wextra -Wpedantic -Werror"
include=-I../../ffi-api/include

${CC:-cc} $warnings -shared -fPIC -O2 $include -o "$out/libheaders_c.so" headers.c
${CC:-cc} $warnings -g -fsanitize=address,undefined -fno-sanitize-recover=all $include -o "$out/headers_test" headers_test.c
"$out/headers_test"
# One reader for all examples in C, kept in each so that a folder can be copied.
cmp json.h ../auth-c/json.h
