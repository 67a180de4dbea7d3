import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createTokenizer, type Tokenizer } from '../src/generate/index.ts'
import { fileSource, readGguf, writeGguf, type GgufFile } from '../src/gguf/index.ts'
import { createOracle, type Oracle } from './oracle/index.ts'

/** The header of a model file. */
export async function readFile(path: string): Promise<GgufFile> {
  const source = await fileSource(path)
  try {
    return await readGguf(source)
  } finally {
    await source.close()
  }
}

/** The texts on which our tokenizer and llama.cpp's disagree. */
export async function mismatches(
  ours: Tokenizer,
  theirs: Oracle,
  texts: readonly string[],
  parseSpecial: boolean
): Promise<string[]> {
  const wanted = await theirs.tokenizeAll(texts, parseSpecial)
  return texts.filter((text, i) => {
    const tokens = parseSpecial ? ours.encodeWithControl(text) : ours.encode(text)
    return tokens.join() !== wanted[i]?.join()
  })
}

/** The same vocabulary under the name of another pre-tokenizer: what differs is how words are cut. */
export async function preTokenizerMismatches(
  file: GgufFile,
  pre: string,
  folder: string,
  texts: readonly string[]
): Promise<string[]> {
  const metadata = new Map(file.metadata).set('tokenizer.ggml.pre', { type: 'string', value: pre })
  const path = join(folder, `${pre}.gguf`)
  await writeFile(path, writeGguf({ metadata, tensors: [] }))
  await using theirs = await createOracle({ path, vocabularyOnly: true })
  return await mismatches(createTokenizer(await readFile(path)), theirs, texts, false)
}
