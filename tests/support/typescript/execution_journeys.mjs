// Commands and files of a devbox with Runloop's published TypeScript SDK, unchanged, with its default
// transport (h2c): `node execution_journeys.mjs DEVBOX_ID` ends with 0 when all of it held.
import assert from 'node:assert/strict';
import { RunloopSDK, toFile } from '@runloop/api-client';

const [, , devboxId] = process.argv;
const sdk = new RunloopSDK();
const devbox = sdk.devbox.fromId(devboxId);

// Output as it is written, and all of it at the end.
const heard = [];
const streamed = await devbox.cmd.exec('seq 1 100000', { stdout: (text) => heard.push(text) });
const wanted = Array.from({ length: 100000 }, (_, i) => `${i + 1}\n`).join('');
assert.equal(streamed.exitCode, 0);
assert.equal(heard.join(''), wanted);
assert.equal(await streamed.stdout(), wanted);

// Without callbacks it is `execute`.
const failed = await devbox.cmd.exec('echo out; echo err >&2; exit 3');
assert.deepEqual([failed.exitCode, await failed.stdout(), await failed.stderr()], [3, 'out\n', 'err\n']);

const { logs } = await sdk.api.devboxes.logs.list(devboxId, { execution_id: failed.executionId });
assert.deepEqual(
  logs.map((entry) => [entry.source, entry.cmd ?? entry.message ?? entry.exit_code]),
  [['exec', 'echo out; echo err >&2; exit 3'], ['exec', 'out'], ['exec', 'err'], ['exec', 3]],
);
const none = await sdk.api.devboxes.logs.list(devboxId, { shell_name: 'main' });
assert.deepEqual(none.logs, []);

const endless = await devbox.cmd.execAsync('sleep 1000');
await endless.kill();
assert.equal((await endless.result()).exitCode, 137);

// Files, there and back.
await devbox.file.write({ file_path: 'notes.txt', contents: 'für später\n' });
assert.equal(await devbox.file.read({ file_path: 'notes.txt' }), 'für später\n');
const bytes = new Uint8Array(20 * 1024 * 1024).map((_, i) => i % 251);
await devbox.file.upload({ path: 'data/blob.bin', file: await toFile(bytes, 'blob.bin') });
const back = await devbox.file.download({ path: 'data/blob.bin' });
assert.deepEqual(Buffer.from(await back.arrayBuffer()), Buffer.from(bytes));

const missing = await devbox.file.read({ file_path: 'nowhere' }).catch((error) => error);
assert.equal(missing.status, 404);
