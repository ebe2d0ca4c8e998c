// Runloop's published TypeScript SDK, unchanged, with its default transport (h2c): each journey is
// one process, `node axon_journeys.mjs NAME`, that ends with 0 when all of it held.
import assert from 'node:assert/strict';
import { NotFoundError, RunloopSDK, UnprocessableEntityError } from '@runloop/api-client';

const runloop = new RunloopSDK(); // RUNLOOP_BASE_URL, RUNLOOP_API_KEY
const event = (payload) => ({ source: 'ts', event_type: 'note', origin: 'USER_EVENT', payload });

async function take(stream, count) {
  const events = [];
  for await (const one of stream) {
    events.push(one);
    if (events.length === count) break; // ends the stream
  }
  return events;
}

const journeys = {
  async calls() {
    const axon = await runloop.axon.create({ name: 'ts-calls', metadata: { team: 'a' } });
    const info = await runloop.axon.fromId(axon.id).getInfo();
    assert.deepEqual([info.name, info.metadata, info.deleted_at_ms], ['ts-calls', { team: 'a' }, null]);
    const listed = await runloop.axon.list({ name: 'ts-ca' });
    assert.deepEqual(listed.map((one) => one.id), [axon.id]);
    const changed = await runloop.api.axons.update(axon.id, { metadata: {} });
    assert.deepEqual(changed.metadata, {});
    const payload = '{"text":"zwölf \\u0000 ✓"}';
    const done = await axon.publish(event(payload));
    assert.equal(done.sequence, 1);
    const page = await runloop.api.axons.events.list(axon.id, { limit: 1, include_total_count: true });
    assert.deepEqual([page.total_count, page.has_more, page.events[0].payload], [1, false, payload]);
    assert.equal(page.events[0].timestamp_ms, done.timestamp_ms);
    assert.deepEqual(await runloop.api.axons.delete(axon.id), {});
    assert.ok((await axon.getInfo()).deleted_at_ms > 0);
    await assert.rejects(axon.publish(event('')), NotFoundError);
  },

  async streams() {
    const axon = await runloop.axon.create();
    const live = await axon.subscribeSse(); // before anything was published
    const reading = take(live, 20);
    for (let n = 1; n <= 20; n++) await axon.publish(event(String(n)));
    const sequences = Array.from({ length: 20 }, (_, n) => n + 1);
    assert.deepEqual((await reading).map((one) => one.sequence), sequences);
    const resumed = await take(await axon.subscribeSse({ after_sequence: 17 }), 3);
    assert.deepEqual(resumed.map((one) => one.payload), ['18', '19', '20']);
  },

  async many() {
    // Many streams and requests at once, over the few connections that the SDK opens.
    const axon = await runloop.axon.create();
    const readings = [];
    for (let n = 0; n < 100; n++) readings.push(axon.subscribeSse().then((s) => take(s, 50)));
    await Promise.all(Array.from({ length: 50 }, (_, n) => axon.publish(event(`${n}`.repeat(2000)))));
    for (const events of await Promise.all(readings)) {
      assert.deepEqual(events.map((one) => one.sequence), Array.from({ length: 50 }, (_, n) => n + 1));
    }
  },

  async pages() {
    for (let n = 0; n < 5; n++) await runloop.axon.create({ metadata: { pages: 'ts' } });
    const seen = [];
    for await (const axon of runloop.api.axons.list({ limit: 2, 'metadata[pages]': 'ts' })) seen.push(axon.id);
    assert.equal(new Set(seen).size, 5);
    assert.equal(seen.length, 5);
  },

  async errors() {
    await assert.rejects(runloop.axon.fromId('axn_none').getInfo(), /There is no axon 'axn_none'/);
    const axon = await runloop.axon.create();
    await assert.rejects(axon.publish({ ...event(''), event_type: '' }), UnprocessableEntityError);
    await assert.rejects(axon.publish({ ...event(''), origin: 'SYSTEM_EVENT' }), /never published/);
    await assert.rejects(axon.publish(event('x'.repeat(4 * 1024 * 1024 + 1))), /publish a reference/);
  },

  async sql() {
    const axon = await runloop.axon.create();
    await axon.sql.query({ sql: 'CREATE TABLE tasks (id INTEGER PRIMARY KEY, name TEXT)' });
    const batch = await axon.sql.batch({
      statements: [{ sql: 'INSERT INTO tasks (name) VALUES (?)', params: ['a'] }, { sql: 'SELECT 1' }],
    });
    assert.equal(batch.results.length, 2);
    const found = await axon.sql.query({ sql: 'SELECT * FROM tasks WHERE id = ?', params: [1] });
    assert.deepEqual(found.rows, [[1, 'a']]);
  },

  async cut() {
    // Behind a gateway that loses the first answer to every call.
    const axon = await runloop.axon.create({ name: process.env.AXON_NAME });
    for (let n = 1; n <= 3; n++) assert.equal((await axon.publish(event(String(n)))).sequence, n);
  },
};

await journeys[process.argv[2]]();
process.exit(0); // pooled connections would keep the process for a while
