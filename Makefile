# The ClickHouse library that tb loads as its embedded engine: about 570 MB, downloaded once.
.PHONY: engine
engine: engine/node_modules/.package-lock.json

engine/node_modules/.package-lock.json: engine/package.json engine/package-lock.json engine/.npmrc
	@command -v npm >/dev/null 2>&1 || { \
		echo "make engine needs npm: install Node.js 20 or newer (https://nodejs.org)," >&2; \
		echo "or set CLICKHOUSE_URL to use a ClickHouse server of your own" >&2; \
		exit 1; }
	@cd engine && npm ci --loglevel=error --no-progress >/dev/null
	@test -f engine/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so || { \
		echo "the embedded engine exists for 64-bit Intel and AMD Linux with glibc only;" >&2; \
		echo "elsewhere set CLICKHOUSE_URL to use a ClickHouse server of your own" >&2; \
		exit 1; }
	@touch $@
