import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The top folder of the repository, without a slash at its end. */
export const root: string = fileURLToPath(new URL('..', import.meta.url)).replace(/[\\/]$/, '')

/** A text file, named by its path from the top folder. */
export interface TextFile {
  path: string
  text: string
}

/** The parts of a package.json that the gates read. */
export interface Manifest {
  name: string
  version: string
  private?: boolean
  description?: string
  license?: string
  type?: string
  sideEffects?: boolean | string[]
  exports?: Record<string, Record<string, string>>
  imports?: Record<string, unknown>
  bin?: Record<string, string>
  files?: string[]
  dependencies?: Record<string, string>
  devDependencies?: Record<string, string>
  peerDependencies?: Record<string, string>
  peerDependenciesMeta?: Record<string, { optional?: boolean }>
  optionalDependencies?: Record<string, string>
  engines?: Record<string, string>
  publishConfig?: {
    access?: string
    exports?: Record<string, Record<string, string>>
    imports?: Record<string, unknown>
    bin?: Record<string, string>
  }
}

/** One package of the house, read whole. */
export interface Room {
  /** `identity` of `@kwaai/identity`. */
  folder: string
  manifest: Manifest
  /** Folders that its tsconfig.json references, such as `interface`. */
  references: string[]
  readme: string
  /** TypeScript under `src`, without what a generator wrote. */
  sources: TextFile[]
  /** TypeScript under `test` and `bench`. */
  tests: TextFile[]
  /** Every path under the package, without `node_modules` and `dist`. */
  paths: string[]
}

/** What is in the repository or about to be: ignored files are left out. Sorted. */
export function repositoryFiles(): string[] {
  const list = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 << 20
  })
  return [...new Set(list.split('\0'))]
    .filter((path) => path !== '' && existsSync(join(root, path)))
    .toSorted()
}

export function readText(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

export function readJson<T>(path: string): T {
  return JSON.parse(readText(path)) as T
}

/** All packages under `packages/`, in the order of their folders. */
export function readRooms(): Room[] {
  const files = repositoryFiles()
  return readdirSync(join(root, 'packages'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(root, 'packages', entry.name, 'package.json')))
    .map((entry) => readRoom(entry.name, files))
}

function readRoom(folder: string, files: readonly string[]): Room {
  const base = `packages/${folder}/`
  const paths = files.filter((path) => path.startsWith(base))
  const typescript = (part: string): TextFile[] =>
    paths
      .filter((path) => path.startsWith(base + part) && path.endsWith('.ts') && !path.includes('/gen/'))
      .map((path) => ({ path, text: readText(path) }))
  const { references = [] } = readJson<{ references?: { path: string }[] }>(`${base}tsconfig.json`)
  return {
    folder,
    manifest: readJson<Manifest>(`${base}package.json`),
    references: references.map(({ path }) => path.replace(/^\.\.\//, '')),
    readme: paths.includes(`${base}README.md`) ? readText(`${base}README.md`) : '',
    sources: typescript('src/'),
    tests: [...typescript('test/'), ...typescript('bench/')],
    paths
  }
}
