import { describe, expect, test } from 'vitest'
import { layerViolations } from './layer-rule.ts'
import { compositionRoots, layers, nodeOnly } from './layers.ts'
import { type Manifest, type Room, readRooms } from './repository.ts'

const rooms = readRooms()

describe('the rooms of the house', () => {
  test('each stands in the table', () => {
    expect(rooms.map(({ manifest }) => manifest.name).toSorted()).toEqual(Object.keys(layers).toSorted())
  })

  test('the table has no circle', () => {
    const reaches = (from: string, to: string): boolean =>
      (layers[from] ?? []).some((next) => next === to || reaches(next, to))
    expect(Object.keys(layers).filter((name) => reaches(name, name))).toEqual([])
  })

  test('feature rooms import contracts and identity alone', () => {
    const open = Object.entries(layers).filter(([name]) => !compositionRoots.includes(name))
    for (const [, allowed] of open)
      expect(['@kwaai/interface', '@kwaai/identity']).toEqual(expect.arrayContaining([...allowed]))
  })

  test('folders named as Node.js only exist', () => {
    const paths = rooms.flatMap((room) => room.paths)
    expect(nodeOnly.filter((folder) => !paths.some((path) => path.startsWith(folder)))).toEqual([])
  })

  test.each(rooms.map((room) => [room.manifest.name, room] as const))('%s imports what it may', (_, room) => {
    expect(layerViolations(room, rooms)).toEqual([])
  })
})

describe('a planted violation is caught', () => {
  const manifest = (name: string, fields: Partial<Manifest> = {}): Manifest => ({
    name,
    version: '0.1.0',
    ...fields
  })
  const exports = { '.': {}, './memory': {} }
  const others: Room[] = Object.keys(layers).map((name) => ({
    folder: name.slice('@kwaai/'.length),
    manifest: manifest(name, { exports }),
    references: [],
    readme: '',
    sources: [],
    tests: [],
    paths: []
  }))
  const dependencies = { '@kwaai/interface': 'workspace:^', '@noble/hashes': '2.4.0' }
  const devDependencies = { '@kwaai/testing': 'workspace:^', 'fast-check': '4.10.2' }
  const look = (path: string, text: string, name = '@kwaai/dht'): string[] => {
    const file = { path, text }
    const test = path.includes('/test/')
    const folder = name.slice('@kwaai/'.length)
    return layerViolations(
      {
        folder,
        manifest: manifest(name, { dependencies, devDependencies }),
        references: [],
        readme: '',
        sources: test ? [] : [file],
        tests: test ? [file] : [],
        paths: [path]
      },
      others
    )
  }

  test.each([
    ['a room of the same height', 'packages/dht/src/a.ts', "import { x } from '@kwaai/shard'"],
    ['by type alone', 'packages/dht/src/a.ts', "import type { X } from '@kwaai/shard'"],
    ['in a type expression', 'packages/dht/src/a.ts', "export type X = import('@kwaai/shard').X"],
    ['re-exported', 'packages/dht/src/a.ts', "export * from '@kwaai/network'"],
    ['lazily', 'packages/dht/src/a.ts', "export const f = () => import('@kwaai/network')"],
    ['by require', 'packages/dht/src/a.ts', "const x = require('@kwaai/network')"],
    ['by a path into another room', 'packages/dht/src/a.ts', "import { x } from '../../shard/src/a.ts'"],
    ['a door that is not there', 'packages/dht/src/a.ts', "import { x } from '@kwaai/interface/secret'"],
    ['an inner door of identity', 'packages/dht/src/a.ts', "import { x } from '@kwaai/identity/memory'"],
    ['a package nobody declared', 'packages/dht/src/a.ts', "import { x } from 'libp2p'"],
    ['a package declared for tests', 'packages/dht/src/a.ts', "import fc from 'fast-check'"],
    ['the test tools in a source', 'packages/dht/src/a.ts', "import { x } from '@kwaai/testing'"],
    ['Node.js in a library', 'packages/dht/src/a.ts', "import { x } from 'node:fs'"],
    ['Node.js without its prefix', 'packages/dht/src/a.ts', "import { x } from 'fs'"],
    ['a platform file by its path', 'packages/dht/src/a.ts', "import { x } from './platform.ts'"],
    ['Node.js in a spec of both worlds', 'packages/dht/test/a.spec.ts', "import { x } from 'node:fs'"],
    ["another room's test tools", 'packages/dht/test/a.spec.ts', "import { x } from '../../shard/test/a.ts'"],
    ['another room in a test', 'packages/dht/test/a.spec.ts', "import { x } from '@kwaai/network'"]
  ])('%s', (_, path, text) => {
    expect(look(path, text)).toHaveLength(1)
  })

  test.each([
    ['a contract', 'packages/dht/src/a.ts', "import { x } from '@kwaai/interface/memory'"],
    ['a declared package', 'packages/dht/src/a.ts', "import { x } from '@noble/hashes/sha2.js'"],
    ['its own files', 'packages/dht/src/a/b.ts', "import { x } from '../c.ts'"],
    ['Node.js in a platform file', 'packages/dht/src/platform.ts', "import { x } from 'node:fs'"],
    [
      'Node.js behind its door',
      'packages/shard/src/ggml/a.ts',
      "import { x } from 'node:fs'",
      '@kwaai/shard'
    ],
    ['Node.js in its tests', 'packages/dht/test/a.node.spec.ts', "import { x } from 'node:fs'"],
    ['the test tools in a test', 'packages/dht/test/a.spec.ts', "import { x } from '@kwaai/testing'"],
    ['the own name in a test', 'packages/dht/test/a.spec.ts', "import { x } from '@kwaai/dht'"],
    [
      "another room's test tools where all is put together",
      'packages/node/test/a.node.spec.ts',
      "import { x } from '../../shard/test/oracle.ts'",
      '@kwaai/node'
    ],
    ['words in a comment', 'packages/dht/src/a.ts', "// import { x } from '@kwaai/shard'\nexport {}"]
  ])('and %s is let through', (_, path, text, name?: string) => {
    expect(look(path, text, name)).toEqual([])
  })
})
