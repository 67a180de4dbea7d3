import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { runToSuccess, tool } from './child.ts'
import { readRooms, readText, root } from './repository.ts'

const site = join(root, 'docs-site')
const built = join(site, '.vitepress/dist')

describe('the documentation', () => {
  beforeAll(async () => {
    rmSync(join(site, 'api'), { recursive: true, force: true })
    rmSync(built, { recursive: true, force: true })
    // TypeDoc reads the packages' declarations where one imports another.
    await runToSuccess(tool('tsc'), ['-b', '--pretty', 'false'])
  })

  test('describes every export without a warning', async () => {
    await runToSuccess(process.execPath, [join(site, 'node_modules/typedoc/bin/typedoc')], { cwd: site })
  })

  test('builds into a site without a dead link', async () => {
    const vitepress = join(site, 'node_modules/vitepress/bin/vitepress.js')
    await runToSuccess(process.execPath, [vitepress, 'build'], { cwd: site })
    expect(existsSync(join(built, 'index.html'))).toBe(true)
    expect(existsSync(join(built, 'guide/start.html'))).toBe(true)
  })

  test.each(readRooms().map((room) => [room.manifest.name, room] as const))(
    'has a page for every door of %s',
    (name, room) => {
      const doors = Object.keys(room.manifest.exports ?? {})
      const page = doors.length === 1 ? `docs-site/api/${name}.md` : `docs-site/api/${name}/index.md`
      expect(readText(page)).toContain(name)
      const others = doors
        .filter((door) => door !== '.')
        .map((door) => `docs-site/api/${name}/${door.slice(2)}`)
      expect(others.filter((path) => !existsSync(join(root, `${path}.md`)))).toEqual([])
    }
  )
})
