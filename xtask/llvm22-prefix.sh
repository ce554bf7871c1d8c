#!/usr/bin/env bash
# Lets `razor` be built for CUDA without a network, with LLVM 22 from Debian.
#
#   apt-get update && apt-get install llvm-22-dev libzstd-dev
#   xtask/llvm22-prefix.sh
#
# The build script of tracel-llvm-bundler downloads LLVM unless it finds a folder named after its own version. This
# makes that folder: links to Debian's headers and libraries, and an `llvm-config` in front of Debian's.
# LLVM_PREFIX names another installation of LLVM 22.
set -euo pipefail

llvm=${LLVM_PREFIX:-/usr/lib/llvm-22}
lock=$(dirname "$0")/../Cargo.lock

if [ ! -x "$llvm/bin/llvm-config" ]; then
    echo "llvm22-prefix.sh: $llvm/bin/llvm-config is missing; install llvm-22-dev or set LLVM_PREFIX" >&2
    exit 1
fi
version=$(sed -n '/^name = "tracel-llvm-bundler"$/{n;s/^version = "\(.*\)"$/\1/p;}' "$lock")
if [ -z "$version" ]; then
    echo "llvm22-prefix.sh: $lock: package tracel-llvm-bundler is missing" >&2
    exit 1
fi

prefix=${XDG_DATA_HOME:-$HOME/.local/share}/tracel/tracel-llvm-$version
if [ -e "$prefix/.tracel-llvm-installed" ] && [ ! -L "$prefix/lib" ]; then
    echo "llvm22-prefix.sh: $prefix already holds a downloaded LLVM; nothing to do" >&2
    exit 0
fi

mkdir -p "$prefix/bin"
ln -sfn "$llvm/lib" "$prefix/lib"
ln -sfn "$llvm/include" "$prefix/include"

# The build script reads bare `-lNAME` flags. Debian's llvm-config gives some system libraries as paths to shared objects
# and names Polly, whose archives are in another package and which the backend does not use.
cat > "$prefix/bin/llvm-config" <<SCRIPT
#!/usr/bin/env bash
set -euo pipefail
"$llvm/bin/llvm-config" "\$@" | sed -E 's,/[^ ]*/lib([A-Za-z0-9_+-]+)\.so[0-9.]*,-l\1,g; s,-lPolly(ISL)?( |\$),\2,g'
SCRIPT
chmod +x "$prefix/bin/llvm-config"

# Last: the build script takes this file as the sign of a complete folder.
"$prefix/bin/llvm-config" --link-static --libs > /dev/null
touch "$prefix/.tracel-llvm-installed"
echo "made $prefix from LLVM $("$prefix/bin/llvm-config" --version)"
