// As much of a remote ACP agent's connection as the examples of seed 001 use, on the published
// `@runloop/api-client`: a request is published under its method's name, and its answer is the next
// AGENT_EVENT of that name; a prompt is over with its turn.
export const PROTOCOL_VERSION = 1;

const SYSTEM = 'SYSTEM_EVENT';
const TURN_ENDS = ['turn.completed', 'turn.cancelled', 'turn.failed'];

export class ACPAxonConnection {
  #axon;
  #options;
  #stream;
  #reading;
  #listeners = [];
  #waiting = new Map();

  constructor(axon, devbox, options = {}) {
    this.#axon = axon;
    this.devbox = devbox;
    this.#options = options;
  }

  onAxonEvent(listener) {
    this.#listeners.push(listener);
  }

  onTimelineEvent(listener) {
    const kind = (event) => (event.origin === SYSTEM ? 'system' : 'acp_protocol');
    this.onAxonEvent((event) => listener({ kind: kind(event), axonEvent: event }));
  }

  async connect() {
    this.#stream = await this.#axon.subscribeSse({ after_sequence: this.#options.afterSequence });
    this.#reading = this.#read();
  }

  async disconnect() {
    this.#stream.controller.abort();
    await this.#reading;
    await this.#options.onDisconnect?.();
  }

  initialize = (params) => this.#request('initialize', params);
  newSession = (params) => this.#request('session/new', params);
  loadSession = (params) => this.#request('session/load', params);
  prompt = (params) => this.#request('session/prompt', params);

  async #request(method, params) {
    const answered = new Promise((resolve, reject) => {
      this.#waiting.set(method, { resolve, reject, answer: undefined });
    });
    await this.#axon.publish({
      event_type: method,
      origin: 'USER_EVENT',
      source: 'remote-agents',
      payload: JSON.stringify(params),
    });
    return answered;
  }

  async #read() {
    try {
      for await (const event of this.#stream) {
        for (const listener of this.#listeners) await listener(event);
        this.#settle(event);
      }
    } catch (error) {
      if (!this.#stream.controller.signal.aborted) throw error;
    }
  }

  #settle(event) {
    const payload = JSON.parse(event.payload || '{}');
    const asked = this.#waiting.get(event.event_type);
    const prompt = this.#waiting.get('session/prompt');
    if (event.origin === 'AGENT_EVENT' && asked === prompt && asked) {
      asked.answer = payload; // its turn may have more to say
    } else if (event.origin === 'AGENT_EVENT' && asked) {
      this.#waiting.delete(event.event_type);
      asked.resolve(payload);
    } else if (event.origin === SYSTEM && TURN_ENDS.includes(event.event_type) && prompt) {
      this.#waiting.delete('session/prompt');
      if (prompt.answer) prompt.resolve(prompt.answer);
      else prompt.reject(new Error(event.payload));
    }
  }
}
