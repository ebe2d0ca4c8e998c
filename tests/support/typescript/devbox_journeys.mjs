// A devbox's life with Runloop's published TypeScript SDK, unchanged, with its default transport
// (h2c): `node devbox_journeys.mjs NAME…` is a process that ends with 0 when all of it held.
import assert from 'node:assert/strict';
import {
  BadRequestError,
  ConflictError,
  NotFoundError,
  RunloopSDK,
  UnprocessableEntityError,
  toFile,
} from '@runloop/api-client';

const runloop = new RunloopSDK(); // RUNLOOP_BASE_URL, RUNLOOP_API_KEY

// What is mounted is said by the environment, as for `runloop_devbox_journeys.py`.
const said = (name, value) => (process.env[name] ? JSON.parse(process.env[name]) : value);
const AGENT = { agent_binary: 'opencode', launch_args: ['acp'] };

const wanted = (axonId) => ({
  name: 'Fixer',
  metadata: { team: axonId },
  blueprint_name: 'axon-agents',
  mounts: [
    { type: 'broker_mount', axon_id: axonId, protocol: 'acp', ...said('JOURNEY_MOUNT', AGENT) },
  ],
  launch_parameters: {
    lifecycle: {
      after_idle: { idle_time_seconds: 600, on_idle: 'suspend' },
      resume_triggers: { axon_event: true },
    },
  },
  ...said('JOURNEY_DEVBOX', {}),
});

const journeys = {
  async life() {
    const axon = await runloop.axon.create();
    const box = await runloop.devbox.create(wanted(axon.id));
    const info = await box.getInfo();
    assert.deepEqual([info.status, info.name, info.metadata], ['running', 'Fixer', { team: axon.id }]);
    const running = await runloop.devbox.list({ status: 'running' });
    assert.ok(running.some((one) => one.id === box.id));
    assert.deepEqual((await runloop.api.devboxes.update(box.id, { metadata: {} })).metadata, {});

    await box.suspend();
    assert.equal((await box.awaitSuspended()).status, 'suspended');
    await assert.rejects(box.suspend(), BadRequestError);
    await axon.publish({ source: 'ts', event_type: 'user.message', origin: 'USER_EVENT', payload: '{}' });
    assert.equal((await box.awaitRunning()).status, 'running');
    await box.suspend();
    await box.awaitSuspended();
    assert.equal((await box.resume()).status, 'running');
    assert.deepEqual(await box.keepAlive(), {});

    const ended = await box.shutdown();
    assert.deepEqual([ended.status, ended.shutdown_reason], ['shutdown', 'api_shutdown']);
    assert.equal((await box.shutdown()).status, 'shutdown');
  },

  // All of it, with commands and files that are really run and written.
  async whole_life() {
    const axon = await runloop.axon.create();
    const box = await runloop.devbox.create(wanted(axon.id));
    assert.equal((await box.getInfo()).status, 'running');

    const heard = [];
    const counted = await box.cmd.exec('seq 1 100000', { stdout: (text) => heard.push(text) });
    const lines = Array.from({ length: 100000 }, (_, i) => `${i + 1}\n`).join('');
    assert.equal(heard.join(''), lines);
    assert.equal(await counted.stdout(), lines);
    assert.equal((await box.cmd.exec('echo one >>count; exit 3')).exitCode, 3);

    await box.file.write({ file_path: 'notes/text', contents: 'für später\n' });
    assert.equal(await box.file.read({ file_path: 'notes/text' }), 'für später\n');
    const blob = Buffer.from(new Uint8Array(20 * 1024 * 1024).map((_, i) => i % 251));
    const isWhole = async () => {
      const back = await box.file.download({ path: 'blob' });
      assert.ok(Buffer.from(await back.arrayBuffer()).equals(blob));
    };
    await box.file.upload({ path: 'blob', file: await toFile(blob, 'blob') });
    await isWhole();

    await box.suspend();
    assert.equal((await box.awaitSuspended()).status, 'suspended');
    await assert.rejects(box.cmd.exec('true'), BadRequestError);
    const payload = JSON.stringify({ content: said('JOURNEY_PROMPT', 'Hello.') });
    const event = { source: 'ts', event_type: 'user.message', origin: 'USER_EVENT', payload };
    const sent = await axon.publish(event);
    assert.equal((await box.awaitRunning()).status, 'running');
    for await (const each of await axon.subscribeSse({ after_sequence: sent.sequence })) {
      assert.notEqual(each.event_type, 'turn.failed', each.payload);
      if (each.event_type === 'turn.completed') break;
    }
    assert.equal(await box.file.read({ file_path: 'count' }), 'one\n');
    await box.suspend();
    await box.awaitSuspended();
    assert.equal((await box.resume()).status, 'running');
    await isWhole();

    await assert.rejects(box.resume(), BadRequestError);
    await assert.rejects(runloop.devbox.fromId('dbx_none').getInfo(), NotFoundError);
    await assert.rejects(box.file.read({ file_path: 'nowhere' }), NotFoundError);
    await assert.rejects(runloop.api.devboxes.create({ snapshot_id: 'snp_1' }), UnprocessableEntityError);
    const secret = { name: `TAKEN_${box.id}`, value: 'x' };
    await runloop.api.secrets.create(secret);
    await assert.rejects(runloop.api.secrets.create(secret), ConflictError);
    await runloop.api.secrets.delete(secret.name);
    const waiting = { body: { statuses: ['suspended'], timeout_seconds: 1 }, maxRetries: 0 };
    await assert.rejects(runloop.api.post(`/v1/devboxes/${box.id}/wait_for_status`, waiting), { status: 408 });

    assert.equal((await box.shutdown()).status, 'shutdown');
  },

  async refusals() {
    await assert.rejects(runloop.api.devboxes.create({ blueprint_name: 'none' }), NotFoundError);
    await assert.rejects(runloop.api.devboxes.create({ snapshot_id: 'snp_1' }), UnprocessableEntityError);
    await assert.rejects(runloop.devbox.fromId('dbx_none').getInfo(), /There is no devbox/);
    await assert.rejects(runloop.devbox.fromId('dbx_none').net.createSSHKey(), { status: 501 });
  },
};

for (const name of process.argv.slice(2)) await journeys[name]();
process.exit(0); // pooled connections would keep the process for a while
