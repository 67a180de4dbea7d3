import { describe, expect, test } from 'vitest'
import { readJson, readRooms, type Room } from './repository.ts'
import {
  errorViolations,
  fileViolations,
  manifestViolations,
  maxLines,
  readmeViolations
} from './shape-rule.ts'

const rooms = readRooms()

describe.each(rooms.map((room) => [room.manifest.name, room] as const))(
  '%s has the shape of a room',
  (_, room) => {
    test('its manifest', () => expect(manifestViolations(room)).toEqual([]))
    test('its files', () => expect(fileViolations(room)).toEqual([]))
    test('its error codes, in the code and in the README', () => expect(errorViolations(room)).toEqual([]))
    test('its README', () => expect(readmeViolations(room)).toEqual([]))
  }
)

test.each(['tsconfig.json', 'tsconfig.check.json'])('%s knows every package', (path) => {
  const { references } = readJson<{ references: { path: string }[] }>(path)
  const expected = rooms.map(({ folder }) => `packages/${folder}`)
  expect(references.map((reference) => reference.path).toSorted()).toEqual(expected.toSorted())
})

describe('a planted violation is caught', () => {
  const exports = {
    '.': { 'kwaai:source': './src/index.ts', types: './dist/index.d.ts', default: './dist/index.js' }
  }
  const readme = [
    '# @kwaai/toy',
    'A toy that stands for every room of the house, with each of its parts.',
    '```ts\nexport {}\n```',
    '## The ideas',
    '## Options',
    '## Errors\n\n| code | when |\n|---|---|\n| `ERR_TOY_BROKEN` | it broke |',
    '## Swapping parts',
    '## Limits'
  ].join('\n\n')
  const door = "/**\n * A toy.\n *\n * @packageDocumentation\n */\nexport { play } from './play.ts'\n"
  const play =
    "import { ERR_TOY_BROKEN } from './errors.ts'\n/** Plays. */\nexport const play = () => { throw new ToyError('ERR_TOY_BROKEN', '') }\n"
  const toy: Room = {
    folder: 'toy',
    manifest: {
      name: '@kwaai/toy',
      version: '0.1.0',
      description: 'A toy that stands for every room',
      license: 'MIT',
      type: 'module',
      sideEffects: false,
      exports,
      files: ['dist', 'src', '!**/*.tsbuildinfo'],
      dependencies: { '@kwaai/interface': 'workspace:^' },
      engines: { node: '>=22' },
      publishConfig: {
        access: 'public',
        exports: { '.': { types: './dist/index.d.ts', default: './dist/index.js' } }
      }
    },
    references: ['interface'],
    readme,
    sources: [
      { path: 'packages/toy/src/index.ts', text: door },
      { path: 'packages/toy/src/play.ts', text: play },
      {
        path: 'packages/toy/src/errors.ts',
        text: "/** What breaks. */\nexport type ToyErrorCode = 'ERR_TOY_BROKEN'\n"
      }
    ],
    tests: [{ path: 'packages/toy/test/play.spec.ts', text: '' }],
    paths: [
      'packages/toy/README.md',
      'packages/toy/src/errors.ts',
      'packages/toy/src/index.ts',
      'packages/toy/src/play.ts',
      'packages/toy/test/play.spec.ts'
    ]
  }
  const look = (room: Room): string[] => [
    ...manifestViolations(room),
    ...fileViolations(room),
    ...errorViolations(room),
    ...readmeViolations(room)
  ]
  const source = (path: string, text: string): Room => ({
    ...toy,
    sources: [...toy.sources.filter((file) => file.path !== path), { path, text }]
  })

  test('and the toy itself is whole', () => expect(look(toy)).toEqual([]))

  test('and a note to a tool may follow the words', () => {
    const text = '/** Numbers. */\n// prettier-ignore\nexport const x: number = 1\n'
    expect(look(source('packages/toy/src/numbers.ts', text))).toEqual([])
  })

  test.each<[string, Room]>([
    ['a foreign licence', { ...toy, manifest: { ...toy.manifest, license: 'ISC' } }],
    ['an old engine', { ...toy, manifest: { ...toy.manifest, engines: { node: '>=20' } } }],
    ['side effects', { ...toy, manifest: { ...toy.manifest, sideEffects: true } }],
    ['a forgotten folder', { ...toy, manifest: { ...toy.manifest, files: ['dist', '!**/*.tsbuildinfo'] } }],
    [
      'published sources',
      { ...toy, manifest: { ...toy.manifest, publishConfig: { access: 'public', exports } } }
    ],
    ['a missing reference', { ...toy, references: [] }],
    ['a reference too many', { ...toy, references: ['interface', 'identity'] }],
    [
      'a pinned sibling',
      { ...toy, manifest: { ...toy.manifest, dependencies: { '@kwaai/interface': '0.1.0' } } }
    ],
    ['no spec', { ...toy, tests: [] }],
    ['a door to nowhere', { ...toy, paths: toy.paths.filter((path) => !path.endsWith('index.ts')) }],
    ['a name in camel case', { ...toy, paths: [...toy.paths, 'packages/toy/src/playTime.ts'] }],
    ['a door that does things', source('packages/toy/src/index.ts', `${door}export const x: number = 1\n`)],
    ['an export without words', source('packages/toy/src/mute.ts', 'export const x: number = 1\n')],
    [
      'an export with a private note',
      source('packages/toy/src/mute.ts', '/* x */\nexport const x: number = 1\n')
    ],
    ['a door without words', source('packages/toy/src/index.ts', "export { play } from './play.ts'\n")],
    ['waiting at the top level', source('packages/toy/src/wait.ts', 'await Promise.resolve()\nexport {}\n')],
    ['a long file', source('packages/toy/src/long.ts', 'export {}\n'.repeat(maxLines + 1))],
    ['an undocumented code', { ...toy, readme: readme.replace('ERR_TOY_BROKEN', 'broken') }],
    ['a code nobody throws', { ...toy, readme: readme.replace('it broke', '`ERR_TOY_LOST`') }],
    ['a code nobody declared', source('packages/toy/src/errors.ts', 'export {}\n')],
    ['no limits', { ...toy, readme: readme.replace('## Limits', '') }],
    ['no example', { ...toy, readme: readme.replace('```ts', '```sh') }],
    ['another title', { ...toy, readme: readme.replace('# @kwaai/toy', '# Toy') }]
  ])('%s', (_, room) => {
    expect(look(room).length).toBeGreaterThan(0)
  })
})
