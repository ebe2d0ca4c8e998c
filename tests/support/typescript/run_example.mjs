// Runs an example of the documentation: `node run_example.mjs FILE.ts`. Types are taken off, nothing
// else is changed. Two names that the examples call and `@runloop/api-client` does not have are
// given to it: `retrieve` of axons and devboxes is its `fromId`.
import { readFile, writeFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { AxonOps, DevboxOps } from '@runloop/api-client';
import ts from 'typescript';

for (const Ops of [AxonOps, DevboxOps]) {
  Ops.prototype.retrieve ??= async function retrieve(id) {
    return this.fromId(id);
  };
}

const path = process.argv[2];
const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
const { outputText } = ts.transpileModule(await readFile(path, 'utf8'), { compilerOptions: options });
const plain = `${path}.mjs`;
await writeFile(plain, outputText);
process.on('beforeExit', () => process.exit()); // pooled connections would keep it for a while
await import(pathToFileURL(plain));
