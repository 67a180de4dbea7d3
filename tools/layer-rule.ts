import { isBuiltin } from 'node:module'
import { posix } from 'node:path'
import { compositionRoots, layers, nodeOnly } from './layers.ts'
import { readJson, type Manifest, type Room, type TextFile } from './repository.ts'
import { factsOf } from './syntax.ts'

/** What every test may use, declared once at the top of the workspace. */
const shared = Object.keys(readJson<Manifest>('package.json').devDependencies ?? {}).filter(
  (name) => !name.startsWith('@kwaai/')
)

const isPlatform = (path: string): boolean => /(^|\/)platform(\.[a-z]+)?\.ts$/.test(path)

/** Every import of a room that breaks the layer table, one line each: `path:line: why`. */
export function layerViolations(room: Room, rooms: readonly Room[]): string[] {
  return [
    ...room.sources.flatMap((file) => violationsIn(file, room, rooms, false)),
    ...room.tests.flatMap((file) => violationsIn(file, room, rooms, true))
  ]
}

function violationsIn(file: TextFile, room: Room, rooms: readonly Room[], test: boolean): string[] {
  return factsOf(file).imports.flatMap(({ specifier, line }) => {
    const why = objection(specifier, file.path, room, rooms, test)
    return why === undefined ? [] : [`${file.path}:${line}: '${specifier}' ${why}`]
  })
}

function objection(
  specifier: string,
  path: string,
  room: Room,
  rooms: readonly Room[],
  test: boolean
): string | undefined {
  if (specifier.startsWith('.')) return objectionToPath(specifier, path, room, test)
  if (specifier.startsWith('#')) return undefined
  if (isBuiltin(specifier)) return objectionToBuiltin(specifier, path, test)
  const [name, door] = split(specifier)
  if (name.startsWith('@kwaai/')) return objectionToRoom(name, door, room, rooms, test)
  const { dependencies, peerDependencies, optionalDependencies, devDependencies } = room.manifest
  const declared = {
    ...dependencies,
    ...peerDependencies,
    ...optionalDependencies,
    ...(test ? devDependencies : {})
  }
  if (name in declared || (test && shared.includes(name))) return undefined
  return `is not declared in packages/${room.folder}/package.json`
}

function objectionToPath(specifier: string, path: string, room: Room, test: boolean): string | undefined {
  const target = posix.join(posix.dirname(path), specifier)
  // Where everything is put together, the rooms' own test tools (an oracle, prompts) serve once more.
  const tools =
    test && compositionRoots.includes(room.manifest.name) && /^packages\/[a-z]+\/test\//.test(target)
  if (tools) return undefined
  if (!target.startsWith(`packages/${room.folder}/`)) return 'reaches out of its package by a path'
  if (!test && isPlatform(target)) return "is a platform file: import '#platform'"
  return undefined
}

function objectionToBuiltin(specifier: string, path: string, test: boolean): string | undefined {
  if (!specifier.startsWith('node:')) return `is written 'node:${specifier}'`
  if (nodeOnly.some((folder) => path.startsWith(folder))) return undefined
  if (test) {
    const both = path.endsWith('.spec.ts') && !path.endsWith('.node.spec.ts')
    return both && !path.startsWith('packages/node/')
      ? 'in a spec that runs in the browser too: name it *.node.spec.ts'
      : undefined
  }
  return isPlatform(path) ? undefined : 'outside platform.ts and the doors that are Node.js only'
}

function objectionToRoom(
  name: string,
  door: string,
  room: Room,
  rooms: readonly Room[],
  test: boolean
): string | undefined {
  const own = room.manifest.name
  const target = rooms.find(({ manifest }) => manifest.name === name)
  if (target === undefined) return 'is no package of this workspace'
  const exports = name === own ? room.manifest.exports : target.manifest.exports
  if (exports !== undefined && !(door in exports)) return `is no door of ${name}`
  if (name === own) return test ? undefined : 'is its own package: import the file'
  if (test && (name === '@kwaai/testing' || compositionRoots.includes(own))) return undefined
  if (!(layers[own] ?? []).includes(name)) return `is not among what ${own} may import (tools/layers.ts)`
  if (name === '@kwaai/identity' && door !== '.' && !compositionRoots.includes(own)) {
    return "is an inner door: rooms use identity's '.' alone"
  }
  return undefined
}

/** `@noble/hashes/sha2.js` → `@noble/hashes`, `./sha2.js`. */
function split(specifier: string): [name: string, door: string] {
  const parts = specifier.split('/')
  const length = specifier.startsWith('@') ? 2 : 1
  const rest = parts.slice(length)
  return [parts.slice(0, length).join('/'), rest.length === 0 ? '.' : `./${rest.join('/')}`]
}
