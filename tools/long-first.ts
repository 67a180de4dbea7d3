import { relative } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { root } from './repository.ts'

/** What takes longest, the longest first: started last, it would keep one core busy while the others wait. */
export const longFiles: readonly string[] = [
  'packages/node/test/processes.node.spec.ts',
  'packages/node/test/openai-client.node.spec.ts',
  'tools/readme.spec.ts',
  'packages/node/test/cli.node.spec.ts',
  'packages/shard/test/ggml-oracle.node.spec.ts',
  'packages/shard/test/ggml-compliance.node.spec.ts',
  'packages/shard/test/ggml-breaks.node.spec.ts',
  'packages/node/test/three-processes.node.spec.ts',
  'packages/node/test/cancellation.node.spec.ts',
  'packages/node/test/api-keys.node.spec.ts',
  'packages/node/test/audit.node.spec.ts',
  'packages/node/test/identity-cli.node.spec.ts',
  'packages/node/test/node-key.node.spec.ts',
  'packages/shard/test/reference-default.node.spec.ts',
  'tools/examples.spec.ts',
  'tools/static.spec.ts',
  'packages/shard/test/sim/sim.node.spec.ts',
  'packages/node/test/issuer.node.spec.ts',
  'packages/node/test/dht-libp2p.node.spec.ts'
]

/** Vitest's own order behind {@link longFiles}: it knows what was long only once it has run here. */
export class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = longFiles.indexOf(relative(root, moduleId))
      return at < 0 ? longFiles.length : at
    }
    // oxlint-disable-next-line unicorn/no-array-sort -- Vitest's own, which makes a new array
    const usual = await super.sort(files)
    return usual.toSorted((a, b) => rank(a) - rank(b))
  }
}
