import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run, runToSuccess, tool } from './child.ts'
import { browserDoors } from './layers.ts'
import { readRooms, root, type Room } from './repository.ts'

const rooms = readRooms().filter(({ manifest }) => manifest.private !== true)
const named = rooms.map((room) => [room.manifest.name, room] as const)
const work = mkdtempSync(join(tmpdir(), 'kwaai-tarballs-'))
const tarballs = new Map<string, string>()

beforeAll(async () => {
  await runToSuccess(tool('tsc'), ['-b', '--pretty', 'false'])
  for (const { folder, manifest } of rooms) {
    const destination = join(work, 'packed', folder)
    mkdirSync(destination, { recursive: true })
    await runToSuccess('pnpm', ['pack', '--pack-destination', destination], {
      cwd: join(root, 'packages', folder)
    })
    const [file = ''] = readdirSync(destination)
    tarballs.set(manifest.name, join(destination, file))
  }
})

afterAll(() => rmSync(work, { recursive: true, force: true }))

const tarballOf = (name: string): string => tarballs.get(name) ?? ''

/** `@kwaai/identity/memory` for the door `./memory`. */
const specifiers = ({ manifest }: Room): string[] =>
  Object.keys(manifest.exports ?? {}).map((door) => manifest.name + door.slice(1))

/** An empty folder that wants one package, as a user would; siblings come from their tarballs as well. */
function consumer(name: string): string {
  const folder = join(work, 'consumers', name.replace(/\W+/g, '-'))
  mkdirSync(folder, { recursive: true })
  const overrides = Object.fromEntries(
    [...tarballs].filter(([other]) => other !== name).map(([other, path]) => [other, `file:${path}`])
  )
  const manifest = {
    private: true,
    type: 'module',
    dependencies: { [name]: `file:${tarballOf(name)}` },
    overrides
  }
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
  return folder
}

const npmInstall = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']

/** Every package that npm would install, by its path. */
function installed(folder: string): string[] {
  const lock = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8')) as { packages: object }
  return Object.keys(lock.packages).filter((path) => path !== '')
}

/** The first `node` on the path that did not come with the workspace, if it is new enough for the packages. */
async function systemNode(): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    if (folder.includes('node_modules') || folder === '') continue
    const node = join(folder, 'node')
    const { code, output } = await run(node, ['-p', 'process.versions.node']).catch(() => ({
      code: 1,
      output: ''
    }))
    if (code === 0) return Number(output.split('.')[0]) >= 22 ? node : undefined
  }
  return undefined
}

describe.each(named)('the tarball of %s', (name) => {
  test('has types that every resolver finds', async () => {
    await runToSuccess(tool('attw'), [tarballOf(name), '--profile', 'esm-only', '--no-color'])
  })

  test('has a manifest without mistakes', async () => {
    await runToSuccess(tool('publint'), ['run', tarballOf(name), '--strict'])
  })

  test('holds its licence, its README and nothing of the tests', async () => {
    const files = (await runToSuccess('tar', ['-tzf', tarballOf(name)])).trim().split('\n')
    expect(files).toEqual(
      expect.arrayContaining(['package/LICENSE', 'package/README.md', 'package/dist/index.d.ts'])
    )
    expect(files.filter((file) => /\/(test|bench|node_modules)\/|tsbuildinfo|\.gguf$/.test(file))).toEqual([])
  })
})

describe.each(named)('%s alone in an empty folder', (name, room) => {
  let folder: string

  beforeAll(async () => {
    folder = consumer(name)
    await runToSuccess('npm', npmInstall, { cwd: folder })
  })

  // A Node.js-only door may want a peer that the user has to choose; the composition root brings them all.
  const doors =
    name === '@kwaai/node'
      ? rooms
          .filter((other) => other === room || other.manifest.name in (room.manifest.dependencies ?? {}))
          .flatMap(specifiers)
      : browserDoors(room).map(({ specifier }) => specifier)
  const imports = `for (const door of ${JSON.stringify(doors)}) if (Object.keys(await import(door)).length === 0) throw door`
  const requires = `for (const door of ${JSON.stringify(doors)}) require(door)`

  test('is imported', async () => {
    await runToSuccess(process.execPath, ['--input-type=module', '-e', imports], { cwd: folder })
  })

  test('is required', async () => {
    await runToSuccess(process.execPath, ['--input-type=commonjs', '-e', requires], { cwd: folder })
  })

  test("is imported by the system's Node.js, where it has 22 or newer", async () => {
    const node = await systemNode()
    if (node !== undefined) await runToSuccess(node, ['--input-type=module', '-e', imports], { cwd: folder })
  })

  test.each(browserDoors(room))('$specifier is bundled for a browser', async ({ specifier }) => {
    const { outputFiles } = await build({
      stdin: { contents: `export * from ${JSON.stringify(specifier)}`, resolveDir: folder },
      bundle: true,
      platform: 'browser',
      format: 'esm',
      write: false,
      logLevel: 'silent'
    })
    expect(outputFiles[0]?.text).not.toMatch(/["']node:/)
  })
})

describe('what an install brings', () => {
  test.each([
    ['@kwaai/interface', 1],
    ['@kwaai/testing', 2],
    ['@kwaai/identity', 8],
    ['@kwaai/audit', 9],
    ['@kwaai/dht', 10],
    ['@kwaai/shard', 12],
    ['@kwaai/api', 11],
    ['@kwaai/network', 9]
  ])('%s brings at most %i packages', (name, most) => {
    const paths = installed(join(work, 'consumers', name.replace(/\W+/g, '-')))
    expect(paths.length, paths.join('\n')).toBeLessThanOrEqual(most)
  })

  test('@kwaai/node brings no react-native, and fewer than 250 packages', () => {
    const paths = installed(join(work, 'consumers', '-kwaai-node'))
    expect(paths.filter((path) => path.includes('react-native'))).toEqual([])
    expect(paths.length).toBeLessThan(250)
  })
})

test('npx kwaai --version, from the tarball', async () => {
  const folder = join(work, 'consumers', '-kwaai-node')
  const output = await runToSuccess('npx', ['--no', '--', 'kwaai', '--version'], { cwd: folder })
  expect(output.trim()).toBe(rooms.find(({ folder: room }) => room === 'node')?.manifest.version)
})

test('the sizes that are promised hold', async () => {
  await runToSuccess(tool('size-limit'), [])
})

test('the change log can be made', async () => {
  const { code, output } = await run(tool('changeset'), ['status', '--since=HEAD'])
  // Work that is not committed yet may still lack its line; every other complaint is about the set-up.
  if (!output.includes('no changesets were found')) expect(code, output).toBe(0)
})
