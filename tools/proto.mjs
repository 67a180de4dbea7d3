// Writes the TypeScript of every packages/<room>/proto/*.proto: `pnpm run proto [room …]`. Works offline.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'

const root = fileURLToPath(new URL('..', import.meta.url))

// The envelope is written and read by hand (strictness and bundle size); its generated code checks the tests.
const folders = { identity: 'test/gen' }

const wanted = process.argv.slice(2)
for (const room of readdirSync(join(root, 'packages')).toSorted()) {
  if (wanted.length > 0 && !wanted.includes(room)) continue
  const proto = join('packages', room, 'proto')
  if (!existsSync(join(root, proto))) continue
  const out = join('packages', room, folders[room] ?? 'src/gen')
  rmSync(join(root, out), { recursive: true, force: true })
  const template = {
    version: 'v2',
    plugins: [{ local: 'protoc-gen-es', out, opt: ['target=ts', 'import_extension=ts'] }]
  }
  const { status } = spawnSync('buf', ['generate', proto, '--template', JSON.stringify(template)], {
    cwd: root,
    stdio: 'inherit'
  })
  if (status !== 0) process.exit(1)
  console.log(`${proto} -> ${out}`)
}
