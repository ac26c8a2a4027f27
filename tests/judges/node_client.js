// node node_client.js FOLDER: the same as python_client.py, with the SDK for JavaScript v3 that is installed in FOLDER.
"use strict";
const { createRequire } = require("node:module");
const readline = require("node:readline");

const shift = 1000 * Number(process.env.CLOCK_SHIFT || "0");
if (shift) {
  const Right = Date;
  globalThis.Date = class extends Right {
    constructor(...given) {
      if (given.length) super(...given);
      else super(Right.now() + shift);
    }
    static now() {
      return Right.now() + shift;
    }
  };
}
const sdk = createRequire(process.argv[2] + "/")("@aws-sdk/client-secrets-manager");
const client = new sdk.SecretsManagerClient({});

const plain = (given) => {
  if (given instanceof Uint8Array) return { $bytes: Buffer.from(given).toString("base64") };
  if (given instanceof Date) return given.toISOString();
  if (Array.isArray(given)) return given.map(plain);
  if (given === null || typeof given !== "object") return given;
  const members = Object.entries(given).filter(([name, one]) => name !== "$metadata" && one !== undefined);
  return Object.fromEntries(members.map(([name, one]) => [name, plain(one)]));
};
const rich = (given) => {
  if (Array.isArray(given)) return given.map(rich);
  if (given === null || typeof given !== "object") return given;
  if ("$bytes" in given) return new Uint8Array(Buffer.from(given.$bytes, "base64"));
  return Object.fromEntries(Object.entries(given).map(([name, one]) => [name, rich(one)]));
};
const call = (operation, input) => client.send(new sdk[`${operation}Command`](rich(input)));

const read = async (name) => {
  const found = await call("GetSecretValue", { SecretId: name });
  return found.SecretString !== undefined ? found.SecretString : found.SecretBinary;
};
const write = async (name, value) => {
  const given = typeof value === "string" ? { SecretString: value } : { SecretBinary: value };
  try {
    await call("PutSecretValue", { SecretId: name, ...given });
  } catch (error) {
    if (!(error instanceof sdk.ResourceNotFoundException)) throw error;
    await call("CreateSecret", { Name: name, ...given });
  }
};
const pages = async (operation, input) => {
  const found = [];
  for await (const page of sdk[`paginate${operation}`]({ client }, rich(input))) found.push(page);
  return found;
};
const perform = (command) => {
  if (command.do === "read") return read(command.name);
  if (command.do === "write") return write(command.name, command.value);
  if (command.do === "pages") return pages(command.operation, command.input);
  return call(command.operation, command.input);
};
const told = (error) => {
  const known = Object.keys(sdk).filter((name) => name.endsWith("Exception") || name.endsWith("Error") || name.endsWith("Failure"));
  const classes = known.filter((name) => name !== "SecretsManagerServiceException" && error instanceof sdk[name]);
  const { httpStatusCode: status = 0, attempts = 0 } = error.$metadata || {};
  return { code: error.name, message: error.message, status, classes, attempts };
};

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let answer;
    try {
      const ok = await perform(JSON.parse(line));
      answer = { ok: ok === undefined ? null : plain(ok) };
    } catch (error) {
      answer = { error: told(error) };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
})();
