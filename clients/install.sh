#!/bin/sh
# Installs the official clients into the folder $1: the command line, the Python SDK, the TypeScript SDK.
# Says nothing and does nothing for a client whose pinned versions are there.
set -eu
mkdir -p "$1"
target=$(cd "$1" && pwd)
cd "$(dirname "$0")"

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || {
	echo "make clients needs Python 3.11, 3.12 or 3.13, as the official command line does; set PYTHON to one" >&2
	exit 1
}

venv() {
	name=$1
	shift
	if ! cmp -s "$name/requirements.txt" "$target/$name/installed.txt"; then
		echo "installing $(grep '^tinybird' "$name/requirements.txt" | tr '\n' ' ')"
		rm -rf "${target:?}/$name"
		"$python" -m venv "$target/$name"
		"$target/$name/bin/pip" install --quiet --disable-pip-version-check "$@" -r "$name/requirements.txt"
		cp "$name/requirements.txt" "$target/$name/installed.txt"
	fi
}

venv cli --no-deps
venv python

if ! cmp -s typescript/package-lock.json "$target/typescript/installed.json"; then
	echo "installing @tinybirdco/sdk"
	rm -rf "$target/typescript"
	mkdir -p "$target/typescript"
	cp typescript/package.json typescript/package-lock.json "$target/typescript"
	(cd "$target/typescript" && npm ci --loglevel=error --no-progress >/dev/null)
	cp typescript/package-lock.json "$target/typescript/installed.json"
fi
