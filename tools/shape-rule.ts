import { isDeepStrictEqual } from 'node:util'
import type { Manifest, Room } from './repository.ts'
import { factsOf } from './syntax.ts'

/** The most lines a source file may have. */
export const maxLines = 350

const workspaceRange = 'workspace:^'

/** Everything about a package's manifest and tsconfig that is not as the house has it. */
export function manifestViolations(room: Room): string[] {
  const { manifest, folder, paths } = room
  const wrong: string[] = []
  const want = (holds: boolean, text: string): void => {
    if (!holds) wrong.push(`packages/${folder}/package.json: ${text}`)
  }
  want(manifest.name === `@kwaai/${folder}`, `"name" is "@kwaai/${folder}"`)
  want((manifest.description ?? '').length > 20, '"description" says in one line what the package is')
  want(manifest.license === 'MIT', '"license" is "MIT"')
  want(manifest.type === 'module', '"type" is "module"')
  want(manifest.engines?.['node'] === '>=22', '"engines" is { "node": ">=22" }')
  want(
    manifest.sideEffects !== undefined && manifest.sideEffects !== true,
    '"sideEffects" is false, or lists the bins'
  )
  want(manifest.publishConfig?.access === 'public', '"publishConfig.access" is "public"')
  for (const entry of ['dist', 'src', '!**/*.tsbuildinfo', ...(holds(room, 'proto/') ? ['proto'] : [])]) {
    want(manifest.files?.includes(entry) ?? false, `"files" lists "${entry}"`)
  }
  want(isDeepStrictEqual(manifest.publishConfig?.exports, published(manifest.exports)), exportsText)
  want(isDeepStrictEqual(manifest.publishConfig?.imports, published(manifest.imports)), importsText)
  want(manifest.exports?.['.'] !== undefined, '"exports" has the door "."')
  for (const [door, target] of Object.entries(manifest.exports ?? {})) {
    const source = target['kwaai:source'] ?? ''
    const compiled = source.replace('./src/', './dist/').replace(/\.ts$/, '')
    want(
      isDeepStrictEqual(target, {
        'kwaai:source': source,
        types: `${compiled}.d.ts`,
        default: `${compiled}.js`
      }),
      `the door "${door}" is { "kwaai:source": "./src/….ts", "types": "./dist/….d.ts", "default": "./dist/….js" }`
    )
    want(
      paths.includes(`packages/${folder}/${source.slice(2)}`),
      `the door "${door}" leads to ${source}, which is not there`
    )
  }
  for (const [name, range] of workspaceDependencies(manifest)) {
    want(range === workspaceRange, `"${name}" is "${workspaceRange}"`)
  }
  const referenced = [...room.references].toSorted()
  const depended = workspaceDependencies({ ...manifest, devDependencies: {} }).map(([name]) =>
    name.slice('@kwaai/'.length)
  )
  if (!isDeepStrictEqual(referenced, depended.toSorted())) {
    wrong.push(
      `packages/${folder}/tsconfig.json: references [${referenced}], the package depends on [${depended}]`
    )
  }
  return wrong
}

const exportsText = '"publishConfig.exports" is "exports" without "kwaai:source"'
const importsText = '"publishConfig.imports" is "imports" without "kwaai:source"'

/** What a map of exports or imports becomes when the sources are left at home. */
function published(map: unknown): unknown {
  if (typeof map !== 'object' || map === null) return map
  return Object.fromEntries(
    Object.entries(map)
      .filter(([condition]) => condition !== 'kwaai:source')
      .map(([key, value]) => [key, published(value)])
  )
}

function workspaceDependencies(manifest: Manifest): [name: string, range: string][] {
  const { dependencies, peerDependencies, optionalDependencies, devDependencies } = manifest
  return Object.entries({
    ...devDependencies,
    ...optionalDependencies,
    ...peerDependencies,
    ...dependencies
  }).filter(([name]) => name.startsWith('@kwaai/'))
}

const holds = (room: Room, part: string): boolean =>
  room.paths.some((path) => path.startsWith(`packages/${room.folder}/${part}`))

/** Everything about a package's files that is not as the house has it. */
export function fileViolations(room: Room): string[] {
  const { folder, manifest, paths, sources, tests } = room
  const base = `packages/${folder}/`
  const wrong: string[] = []
  const doors = Object.values(manifest.exports ?? {}).map(
    (target) => base + (target['kwaai:source'] ?? '').slice(2)
  )
  if (!paths.includes(`${base}src/index.ts`)) wrong.push(`${base}src/index.ts: is missing`)
  if (!tests.some(({ path }) => path.endsWith('.spec.ts'))) wrong.push(`${base}test: holds no *.spec.ts`)
  for (const path of paths) {
    const name = path.slice(path.lastIndexOf('/') + 1)
    if (
      name.endsWith('.ts') &&
      !path.includes('/gen/') &&
      !/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+)*\.ts$/.test(name)
    ) {
      wrong.push(`${path}: is not named in kebab-case`)
    }
  }
  for (const file of sources) {
    const facts = factsOf(file)
    const lines = file.text.split('\n').length - 1
    if (lines > maxLines) wrong.push(`${file.path}: has ${lines} lines, ${maxLines} is the most`)
    for (const { name, line } of facts.undocumented) {
      wrong.push(`${file.path}:${line}: ${name} is exported without a documentation comment`)
    }
    for (const line of facts.topLevelAwaits) {
      wrong.push(`${file.path}:${line}: waits at the top level, which breaks require()`)
    }
    if (!doors.includes(file.path)) continue
    if (!facts.door) wrong.push(`${file.path}: is a door and holds more than re-exports`)
    if (!/^\/\*\*[^]*?@packageDocumentation[^]*?\*\//.test(file.text)) {
      wrong.push(`${file.path}: is a door and does not begin with its documentation (@packageDocumentation)`)
    }
  }
  return wrong
}

/**
 * The codes a room can throw, against the codes in the "Errors" section of its README; and against
 * `src/errors.ts`, where a room that throws declares them all.
 */
export function errorViolations(room: Room): string[] {
  const { folder, sources, readme } = room
  const declared = new Set<string>()
  const thrown = new Map<string, string>()
  const used = new Set<string>()
  for (const file of sources) {
    const { codes, thrown: here, door } = factsOf(file)
    if (file.path.endsWith('/errors.ts')) {
      for (const code of codes) {
        declared.add(code)
        if (!isOnlyDeclared(code, file.text)) used.add(code)
      }
    } else if (!door) {
      for (const code of codes) used.add(code)
    }
    for (const code of here) thrown.set(code, file.path)
  }
  const documented = new Set(errorSection(readme).match(/\bERR_[A-Z0-9_]+\b/g))
  const known = new Set([...declared, ...thrown.keys()])
  const wrong: string[] = []
  for (const code of known) {
    if (readme !== '' && !documented.has(code))
      wrong.push(`packages/${folder}/README.md: ${code} is not under "Errors"`)
  }
  for (const code of documented) {
    if (!known.has(code)) wrong.push(`packages/${folder}/README.md: ${code} is thrown nowhere in src`)
  }
  // The contracts' own package has no errors.ts of codes: there the class itself is declared.
  if (folder !== 'interface') {
    for (const [code, path] of thrown) {
      if (!declared.has(code)) wrong.push(`${path}: ${code} is not declared in src/errors.ts`)
    }
    for (const code of declared) {
      if (!used.has(code) && !thrown.has(code))
        wrong.push(`packages/${folder}/src/errors.ts: ${code} is used nowhere`)
    }
    if (thrown.size > 0 && declared.size === 0) wrong.push(`packages/${folder}/src/errors.ts: is missing`)
  }
  return wrong
}

/** True when a file names a code as a constant or in a union of types, and nowhere else. */
function isOnlyDeclared(code: string, text: string): boolean {
  const rest = text
    .replace(/\/\*[^]*?\*\/|\/\/.*/g, '')
    .replaceAll(
      new RegExp(
        `const ${code}\\b.*|\\| *(typeof ${code}\\b|'${code}')|= *(typeof ${code}\\b|'${code}')`,
        'g'
      ),
      ''
    )
  return !new RegExp(`\\b${code}\\b`).test(rest)
}

/** From the heading "Errors" to the next heading of its height. */
function errorSection(readme: string): string {
  const [, height, rest = ''] = /^(#+) errors\b[^\n]*\n([^]*)/im.exec(readme) ?? []
  if (height === undefined) return ''
  const end = new RegExp(`^#{1,${height.length}} `, 'm').exec(rest)
  return end === null ? rest : rest.slice(0, end.index)
}

/** What a README of a room has to have and this one has not. */
export function readmeViolations(room: Room): string[] {
  const { folder, readme, manifest } = room
  if (readme === '') return [`packages/${folder}/README.md: is missing`]
  const wrong: string[] = []
  const want = (holds: boolean, text: string): void => {
    if (!holds) wrong.push(`packages/${folder}/README.md: ${text}`)
  }
  want(readme.startsWith(`# ${manifest.name}\n`), `begins with the title "# ${manifest.name}"`)
  want(/^# .*\n\n[^#`|\n-][^\n]{40,}/.test(readme), 'says in a paragraph under the title what it is')
  want(/^```ts\n/m.test(readme), 'has an example in a ```ts block')
  const headings = [...readme.matchAll(/^#{2,} (.*)$/gm)].map(([, heading = '']) => heading)
  const sections: [RegExp, string][] = [
    [/\b(ideas?|how it works)\b/i, 'the ideas'],
    [/\boptions?\b/i, 'options'],
    [/\berrors?\b/i, 'errors'],
    [/\b(swap|replace|parts)/i, 'how to swap parts'],
    [/\blimits?\b/i, 'limits']
  ]
  for (const [pattern, text] of sections) {
    want(
      headings.some((heading) => pattern.test(heading)),
      `has a section on ${text}`
    )
  }
  return wrong
}
