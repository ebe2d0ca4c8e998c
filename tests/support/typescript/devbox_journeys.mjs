// A devbox's life with Runloop's published TypeScript SDK, unchanged, with its default transport
// (h2c): `node devbox_journeys.mjs NAME…` is a process that ends with 0 when all of it held.
import assert from 'node:assert/strict';
import { BadRequestError, NotFoundError, RunloopSDK, UnprocessableEntityError } from '@runloop/api-client';

const runloop = new RunloopSDK(); // RUNLOOP_BASE_URL, RUNLOOP_API_KEY

const wanted = (axonId) => ({
  name: 'Fixer',
  metadata: { team: axonId },
  blueprint_name: 'axon-agents',
  mounts: [
    { type: 'broker_mount', axon_id: axonId, protocol: 'acp', agent_binary: 'opencode', launch_args: ['acp'] },
  ],
  launch_parameters: {
    lifecycle: {
      after_idle: { idle_time_seconds: 600, on_idle: 'suspend' },
      resume_triggers: { axon_event: true },
    },
  },
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

  async refusals() {
    await assert.rejects(runloop.api.devboxes.create({ blueprint_name: 'none' }), NotFoundError);
    await assert.rejects(runloop.api.devboxes.create({ snapshot_id: 'snp_1' }), UnprocessableEntityError);
    await assert.rejects(runloop.devbox.fromId('dbx_none').getInfo(), /There is no devbox/);
    await assert.rejects(runloop.devbox.fromId('dbx_none').net.createSSHKey(), { status: 501 });
  },
};

for (const name of process.argv.slice(2)) await journeys[name]();
process.exit(0); // pooled connections would keep the process for a while
