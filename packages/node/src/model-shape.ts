import type { CallOptions, ModelShape } from '@kwaai/interface'
import { fileSource, llamaConfig, readGguf } from '@kwaai/shard/gguf'

/** A model file's shape, without its weights. */
export async function readShape(path: string, options: CallOptions = {}): Promise<ModelShape> {
  const source = await fileSource(path)
  try {
    return llamaConfig(await readGguf(source, options))
  } finally {
    await source.close?.()
  }
}
