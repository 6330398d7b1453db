# Sourced by ./assay and the scripts beside this file. Expects $root.

# What one clone has compiled another need not: ccache takes paths below $root as relative to it.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1

# needs WHAT: installs the Debian packages of ci/packages.txt for WHAT that are not there. Remembered in build/, so that a
# warm start asks nobody.
needs() {
  local stamp="$root/build/.installed-$1" packages missing
  if [ "$stamp" -nt "$root/ci/packages.txt" ]; then return; fi
  packages=$(awk -v what="$1" '!/^#/ && $2 == what {print $1}' "$root/ci/packages.txt")
  missing=$(for package in $packages; do
    dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || echo "$package"
  done)
  if [ -n "$missing" ]; then
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
      if ! command -v sudo >/dev/null; then
        echo "assay: run as root, or install these packages first: $(echo $missing)" >&2
        exit 2
      fi
      as_root=(sudo)
    fi
    echo "assay: installing $(echo $missing)" >&2
    # The lists of a fresh machine may be empty or old: ask for new ones only where installing fails with those it has.
    install() { DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -q --no-install-recommends $missing; }
    if ! install >"$root/.apt.log" 2>&1; then
      "${as_root[@]}" apt-get update -q >>"$root/.apt.log" 2>&1 || true
      if ! install >>"$root/.apt.log" 2>&1; then
        tail -n 20 "$root/.apt.log" >&2
        echo "assay: could not install: $(echo $missing)" >&2
        exit 2
      fi
    fi
    rm -f "$root/.apt.log"
  fi
  mkdir -p "$root/build"
  touch "$stamp"
}

# build PRESET TARGET...: configures once, then builds; quiet when there is nothing to do, whole when it fails.
build() {
  local preset=$1 log="$root/build/$1.log"
  shift
  mkdir -p "$root/build"
  if [ ! -f "$root/build/$preset/build.ninja" ]; then
    echo "assay: configuring $preset" >&2
    if ! cmake --preset "$preset" -S "$root" >"$log" 2>&1; then
      tail -n 40 "$log" >&2
      exit 2
    fi
  fi
  if [ -t 2 ] || [ ! -e "$root/build/$preset/.built" ]; then
    # A long first build shows that it is alive; later ones are silent unless something fails.
    ninja -C "$root/build/$preset" -n "$@" 2>/dev/null | grep -q 'no work to do' || echo "assay: building ($preset)" >&2
  fi
  if ! ninja -C "$root/build/$preset" "$@" >"$log" 2>&1; then
    grep -vE '^\[[0-9]+/[0-9]+\]' "$log" | head -n 60 >&2
    echo "assay: the build failed; all of it is in build/$preset.log" >&2
    exit 2
  fi
  touch "$root/build/$preset/.built"
}

# python_with REQUIREMENTS NAME: the interpreter of build/NAME, which holds what the file lists. It is made where there is
# none; a copy of the list, written last, says that all is there (as golden/generator.cc has it).
python_with() {
  local wanted=$1 place=$root/build/$2
  if ! cmp -s "$wanted" "$place/requirements.txt"; then
    echo "assay: installing $(basename "$wanted") into build/$2" >&2
    mkdir -p "$root/build"
    if [ ! -x "$place/bin/python" ]; then python3 -m venv "$place" >&2 || exit 2; fi
    if ! "$place/bin/python" -m pip install -r "$wanted" >"$place.log" 2>&1; then
      tail -n 20 "$place.log" >&2
      echo "assay: could not install $wanted; all of it is in build/$2.log" >&2
      exit 2
    fi
    cp "$wanted" "$place/requirements.txt"
  fi
  echo "$place/bin/python"
}
