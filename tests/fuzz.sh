#!/usr/bin/env bash
# Fuzzes by coverage, with the libFuzzer that comes with bolero: tests/fuzz.sh SECONDS [TARGET…]; every
# target where none is named, as many at a time as there are processors. An input that fails is kept
# in __fuzz__/TARGET/crashes, where `cargo test` runs it again; inputs that only reach new code are kept
# under target/fuzz/corpus. (`cargo bolero` does the same, but only for packages all of whose tests are
# fuzz targets.)
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=$1
shift
seeds=tests/tests/fuzz/__fuzz__
work=${CARGO_TARGET_DIR:-target}/fuzz

# How libFuzzer wants to be told of coverage; for the machine's own triple, so that build scripts and
# macros are left alone.
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
for what in inline-8bit-counters pc-table trace-compares stack-depth; do
    coverage+=" -Cllvm-args=-sanitizer-coverage-$what"
done
build=(cargo test --locked --package tests --test fuzz --profile fuzz --no-run
    --target "$(rustc --print host-tuple)" --target-dir "$work/build")
RUSTFLAGS="--cfg fuzzing --cfg fuzzing_libfuzzer $coverage" "${build[@]}"
binary=$(RUSTFLAGS="--cfg fuzzing --cfg fuzzing_libfuzzer $coverage" "${build[@]}" 2>&1 | sed -n 's/.*(\(.*\))$/\1/p')

fuzz() {
    local target=$1 log=$work/$1.log crashes=$seeds/$1/crashes
    mkdir -p "$work/corpus/$target" "$crashes"
    if BOLERO_LIBFUZZER_ARGS="$work/corpus/$target $seeds/$target/corpus $crashes -artifact_prefix=$crashes/ \
-timeout=10 -max_total_time=$seconds" "$binary" "$target" --exact --nocapture --test-threads 1 &>"$log"; then
        echo "$target: $(tail -n 1 "$log")"
    else
        echo "$target: FAILED, see $log; the input is in $crashes"
        return 1
    fi
    rmdir --ignore-fail-on-non-empty "$crashes"
}
export -f fuzz
export binary seconds seeds work

[[ $# -gt 0 ]] || set -- "$seeds"/*
printf '%s\n' "${@##*/}" | xargs -I {} -P "$(nproc)" bash -c 'fuzz {}'
