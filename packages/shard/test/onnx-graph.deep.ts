import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bertConfig, buildBertEncoder } from '../src/encoder/index.ts'
import { fileSource } from '../src/gguf/index.ts'

const run = promisify(execFile)
const model = process.env['KWAAI_EMBEDDER_PATH'] ?? ''
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kwaai-onnx-'))
  const quiet = ['-q', '--disable-pip-version-check', '--no-cache-dir', '--target', join(folder, 'packages')]
  await run('python3', ['-m', 'pip', 'install', ...quiet, 'onnx==1.23.2'])
})
afterAll(() => rm(folder, { recursive: true, force: true }))

test.each(['f32', 'f16'] as const)(
  "the official checker finds nothing wrong with the encoder's graph, shapes inferred: %s",
  async (format) => {
    const source = await fileSource(join(model, 'model.safetensors'))
    const config = bertConfig(JSON.parse(await readFile(join(model, 'config.json'), 'utf8')))
    const path = join(folder, `${format}.onnx`)
    await writeFile(path, await buildBertEncoder({ config, format }, source))
    await source.close()
    const check =
      'import onnx,sys\n' +
      'm=onnx.load(sys.argv[1]); onnx.checker.check_model(m,full_check=True)\n' +
      'print(m.ir_version,[(o.domain,o.version) for o in m.opset_import],len(m.graph.node))'
    const { stdout } = await run('python3', ['-c', check, path], {
      env: { ...process.env, PYTHONPATH: join(folder, 'packages') }
    })
    // Each of the 36 matrices and the rows of tokens is widened from halves.
    expect(stdout.trim()).toBe(`10 [('', 21)] ${format === 'f32' ? 197 : 234}`)
  }
)
