import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type DefaultTheme, defineConfig } from 'vitepress'

// TypeDoc writes it, so `vitepress dev` on a fresh clone has none yet.
const sidebar = fileURLToPath(new URL('../api/typedoc-sidebar.json', import.meta.url))
const api: DefaultTheme.SidebarItem[] = existsSync(sidebar) ? JSON.parse(readFileSync(sidebar, 'utf8')) : []

export default defineConfig({
  title: 'Kwaai',
  description: 'People own their AI: language models split over many ordinary machines.',
  cleanUrls: true,
  lastUpdated: false,
  themeConfig: {
    nav: [
      { text: 'Guide', link: '/guide/start' },
      { text: 'API', link: '/api/' }
    ],
    sidebar: {
      '/guide/': [
        {
          text: 'Guide',
          items: [
            { text: 'Two commands', link: '/guide/start' },
            { text: 'The rooms', link: '/guide/rooms' },
            { text: 'How a chat flows', link: '/guide/chat' },
            { text: 'One answer, however it is cut', link: '/guide/numerics' },
            { text: 'What each mode shows to whom', link: '/guide/privacy' }
          ]
        }
      ],
      '/api/': api
    },
    search: { provider: 'local' }
  }
})
