#!/bin/sh
# Installs aipc for the user who runs this, and for nobody else: no root, no Python needed before.
set -eu

usage() {
    cat <<'END'
sh install.sh [SOURCE]      install aipc, or bring it to what SOURCE has
sh install.sh --uninstall   remove it; models stay

SOURCE is a wheel or a checkout; left out, it is the checkout that this script lies in. aipc is on no
package index yet: a bare name would fetch what somebody else put there.

uv (https://docs.astral.sh/uv) does the work. It is taken as it is if it is here, and else fetched into
~/.local/bin, checked against a hash that stands in this script. AIPC_PYTHON names another Python than
3.12, which uv fetches where it is missing.
END
}

UV_VERSION=0.13.9
FILES=https://files.pythonhosted.org/packages

say() { printf '%s\n' "$*" >&2; }
fail() { say "install.sh: $*"; exit 1; }

# The wheel of uv for this system: its address below $FILES, and its SHA-256.
uv_wheel() {
    case "$(uname -s)-$(uname -m)" in
        Linux-x86_64)
            echo fe/fe/794884de0efd3ac77a427cab21aa72c0483e100c55a42cd5cbb02c141b84/uv-$UV_VERSION-py3-none-musllinux_1_1_x86_64.whl \
                2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25 ;;
        Linux-aarch64)
            echo 57/15/94b6cd62ac3ff6550288328e8035288875197cbc183f51554b266a69877b/uv-$UV_VERSION-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl \
                5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe ;;
        Darwin-x86_64)
            echo 1e/db/08e9ef4879bd667e6d7b4705e594e5bd3e4585f10fc63cb16b9fa2fac63e/uv-$UV_VERSION-py3-none-macosx_10_12_x86_64.whl \
                c16ed11e013557536b3e60065f1b912f6407bd6518e041b961e23ef9e6b4fbf5 ;;
        Darwin-arm64)
            echo f3/a7/a8d7b074798c7fb3b26b37584b8fe2e29df2ccdc24ce7902caab2a53edbf/uv-$UV_VERSION-py3-none-macosx_11_0_arm64.whl \
                66c512266d633bef48384a1f53003f41f2a8e7b36fe6e7fbfd3e0fd52d96fa63 ;;
        *) fail "no uv is known here for $(uname -s) on $(uname -m); install uv yourself, then run this again" ;;
    esac
}

download() {  # URL FILE
    if command -v curl >/dev/null; then
        curl --proto '=https' -fsSL "$1" -o "$2"
    elif command -v wget >/dev/null; then
        wget -q "$1" -O "$2"
    else
        fail "neither curl nor wget is here; install one of them"
    fi
}

sha256() {
    if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

unpack() {  # ZIP FOLDER
    if command -v unzip >/dev/null; then
        unzip -q "$1" -d "$2"
    elif command -v bsdtar >/dev/null; then
        bsdtar -xf "$1" -C "$2"
    elif command -v python3 >/dev/null; then
        python3 -m zipfile -e "$1" "$2"
    else
        fail "nothing here unpacks a zip file; install unzip"
    fi
}

fetch_uv() {
    wheel=$(uv_wheel)
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    say "fetching uv $UV_VERSION into $HOME/.local/bin"
    download "$FILES/${wheel% *}" "$scratch/uv.zip" || fail "could not fetch uv; check the network"
    [ "$(sha256 "$scratch/uv.zip")" = "${wheel#* }" ] || fail "what was fetched is not uv $UV_VERSION"
    unpack "$scratch/uv.zip" "$scratch"
    mkdir -p "$HOME/.local/bin"
    chmod +x "$scratch/uv-$UV_VERSION.data/scripts/uv"
    mv "$scratch/uv-$UV_VERSION.data/scripts/uv" "$HOME/.local/bin/uv"
}

find_uv() {
    if command -v uv >/dev/null; then uv=uv; else uv=$HOME/.local/bin/uv; fi
    command -v "$uv" >/dev/null
}

install() {  # SOURCE
    find_uv || { fetch_uv; uv=$HOME/.local/bin/uv; }
    "$uv" tool install --python "${AIPC_PYTHON:-3.12}" --reinstall-package aipc --upgrade "$1"
    "$uv" tool update-shell >/dev/null 2>&1 || true   # fails where the folder is on the path already
    bin=$("$uv" tool dir --bin)
    "$bin/aipc" --version
    case ":$PATH:" in
        *":$bin:"*) say "ready: aipc run \"Hello\"" ;;
        *) say "ready, in a new terminal: aipc run \"Hello\"   (now: $bin/aipc)" ;;
    esac
}

uninstall() {
    find_uv || fail "uv is not here, so this script has installed no aipc"
    bin=$("$uv" tool dir --bin)
    [ ! -x "$bin/aipc" ] || "$bin/aipc" service remove || true
    "$uv" tool uninstall aipc
    case "$(uname -s)" in
        Darwin) data="$HOME/Library/Application Support/aipc" ;;
        *) data=${XDG_DATA_HOME:-$HOME/.local/share}/aipc ;;
    esac
    say "models stay in '${AIPC_HOME:-$data}'; delete that folder to be rid of them"
    say "uv stays; 'uv cache clean' empties its cache"
}

case ${1:-} in
    -h | --help) usage ;;
    --uninstall) uninstall ;;
    -*) usage >&2; exit 2 ;;
    '')
        here=$(cd "$(dirname "$0")/.." && pwd)
        [ -f "$here/pyproject.toml" ] || fail "name a SOURCE: a wheel or a checkout"
        install "$here" ;;
    *) install "$1" ;;
esac
