// What a program does with the TypeScript SDK. Prints a line of JSON for each call: its name, and its answer or its error.
import { createClient } from "@tinybirdco/sdk";

const baseUrl = process.env.TINYBIRD_URL;
const client = (token) => createClient({ baseUrl, token, devMode: false });

async function call(name, what) {
  let line;
  try {
    line = { call: name, answer: await what() };
  } catch (error) {
    line = { call: name, error: `${error.name}: ${error.statusCode}: ${error.message}` };
  }
  console.log(JSON.stringify(line));
}

const tinybird = client(process.env.TINYBIRD_TOKEN);
await call("sql", async () => (await tinybird.sql("SELECT count() AS n FROM orders FINAL")).data);
await call("wrong sql", () => tinybird.sql("SELECT nothing FROM orders"));
await call("wrong token", () => client("p.wrong").sql("SELECT 1"));
await call("query", () => tinybird.query("top", { limit: 1 }));
await call("ingest", () => tinybird.ingest("orders", { pk: "1", sk: "2" }));
await call("append", () => tinybird.datasources.append("orders", { url: "http://127.0.0.1/orders.csv" }));
await call("delete", () => tinybird.datasources.delete("orders", { deleteCondition: "pk = '1'" }));
await call("truncate", () => tinybird.datasources.truncate("orders"));
const scopes = [{ type: "DATASOURCES:READ", resource: "orders" }];
const expiresAt = new Date(Date.now() + 60_000);
await call("jwt", () => tinybird.tokens.createJWT({ name: "short", expiresAt, scopes }));
