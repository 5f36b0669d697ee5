#!/bin/sh
# Builds the module as the README says, then its test with sanitizers, and
# runs that.
set -eu
cd "$(dirname "$0")"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
warnings="-std=c++17 -Wall -Wextra -Wpedantic -Werror"
include=-I../../ffi-api/include
# clang makes no unique symbols, and does not know the option.
unique=-fno-gnu-unique
${CXX:-c++} $unique -x c++ -E /dev/null >"$out/known" 2>&1 || unique=

${CXX:-c++} $warnings -shared -fPIC -O2 $unique $include -o "$out/libauth_cpp.so" auth.cpp
${CXX:-c++} $warnings -g -fsanitize=address,undefined -fno-sanitize-recover=all $include -o "$out/auth_test" auth_test.cpp -pthread
"$out/auth_test"
# One reader for all examples in C and C++, kept in each so that a folder can be copied.
cmp json.h ../auth-c/json.h
