#!/usr/bin/env bash
# Fuzzes by coverage: tests/fuzz.sh SECONDS [TARGET…]; every target where none is named. As many run at
# a time as there are processors. An input that fails is kept in __fuzz__/TARGET/crashes, where
# `cargo test` runs it again; what only reaches new code is kept under target/fuzz/corpus.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=$1
shift
seeds=tests/tests/fuzz/__fuzz__
work=${CARGO_TARGET_DIR:-target}/fuzz
version=0.13.5

# The only one of bolero's engines that is used; the others would need more system packages.
bolero=$work/tools/$version/bin/cargo-bolero
[[ -x $bolero ]] || cargo install --locked --no-default-features --features libfuzzer \
    --root "$work/tools/$version" --target-dir "$work/tools/build" "cargo-bolero@$version"

fuzz() {
    local target=$1 log=$work/$1.log
    mkdir -p "$work/corpus/$target"
    if "$bolero" test "$target" --package tests --sanitizer NONE --target-dir "$work/build" \
        -T "${seconds}s" --corpus-dir "$work/corpus/$target" --engine-args "$seeds/$target/corpus" &>"$log"; then
        echo "$target: $(tail -n 1 "$log")"
    else
        echo "$target: FAILED, see $log; the input is in $seeds/$target/crashes"
        return 1
    fi
}
export -f fuzz
export bolero seconds seeds work

[[ $# -gt 0 ]] || set -- "$seeds"/*
printf '%s\n' "${@##*/}" | xargs -I {} -P "$(nproc)" bash -c 'fuzz {}'
