import { defineConfig } from 'vite'

export default defineConfig({
  // Relative addresses, so that the page also works below a path of a reverse proxy.
  base: './',
  build: {
    // Safari and Firefox of the last years; nothing older speaks what the editor needs.
    target: 'es2022',
    // The editor is one large chunk by nature, fetched once and cached for ever.
    chunkSizeWarningLimit: 8000,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      onLog(level, log, report) {
        // Marks for server rendering, which a bundle for the browser can ignore; there are dozens.
        if (log.code !== 'MODULE_LEVEL_DIRECTIVE') report(level, log)
      },
    },
  },
})
