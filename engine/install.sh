#!/bin/sh
# Brings the ClickHouse library that tb loads as its embedded engine: about 570 MB, downloaded once.
# Says nothing and does nothing when the pinned version is there.
set -eu
cd "$(dirname "$0")"

library=node_modules/@chdb/lib-linux-x64-gnu/libchdb.so
stamp=node_modules/.dynamirror-engine

if [ -f "$library" ] && cmp -s package-lock.json "$stamp"; then
	exit 0
fi
if ! command -v npm >/dev/null 2>&1; then
	echo "make engine needs npm: install Node.js 20 or newer (https://nodejs.org)," >&2
	echo "or set CLICKHOUSE_URL to use a ClickHouse server of your own" >&2
	exit 1
fi
echo "installing the embedded ClickHouse engine (about 570 MB on disk)"
npm ci --loglevel=error --no-progress >/dev/null
if [ ! -f "$library" ]; then
	echo "the embedded engine exists for 64-bit Intel and AMD Linux with glibc only;" >&2
	echo "elsewhere set CLICKHOUSE_URL to use a ClickHouse server of your own" >&2
	exit 1
fi
cp package-lock.json "$stamp"
