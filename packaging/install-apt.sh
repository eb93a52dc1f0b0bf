#!/usr/bin/env bash
# Installs the sections of apt-packages.txt named on the command line, as far as they are missing.
# Uses sudo when not root; tries once more when a download fails.
set -euo pipefail

list="$(dirname "$0")/../apt-packages.txt"

missing() {
    local section="" package keyword command
    while read -r package keyword command; do
        case "$package" in
            "" | \#*) continue ;;
            \[*\]) section="${package//[\[\]]/}" && continue ;;
        esac
        [[ " $* " == *" $section "* ]] || continue
        [[ "$keyword" == unless ]] && command -v "$command" >/dev/null && continue
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "ok installed" || echo "$package"
    done <"$list"
}

mapfile -t packages < <(missing "$@")
[[ ${#packages[@]} -eq 0 ]] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "No apt-get here. Install what apt-packages.txt lists with your own package manager: ${packages[*]}" >&2
    exit 1
fi
sudo=""
if [[ $(id -u) -ne 0 ]]; then
    command -v sudo >/dev/null || { echo "Not root and no sudo. As root: apt-get install ${packages[*]}" >&2; exit 1; }
    sudo="sudo"
fi

echo "Installing ${#packages[@]} system packages: ${packages[*]}"
install() {
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
}
install || { echo "That failed; trying once more." >&2; sleep 5; install; }
