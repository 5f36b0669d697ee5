#!/bin/sh
# Builds the module as the README says, then its test with sanitizers, and
# runs that.
set -eu
cd "$(dirname "$0")"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
warnings="-std=c11 -Wall -Wextra -Wpedantic -Werror"
include=-I../../ffi-api/include

${CC:-cc} $warnings -shared -fPIC -O2 $include -o "$out/libauth_c.so" auth.c
${CC:-cc} $warnings -g -fsanitize=address,undefined -fno-sanitize-recover=all $include -o "$out/auth_test" auth_test.c
"$out/auth_test"
