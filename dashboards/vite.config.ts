import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// The build must give the same bytes wherever the folder lies: class names hash the style itself, never a path.
export default defineConfig({
  plugins: [svelte({ compilerOptions: { cssHash: ({ hash, css }) => `t${hash(css)}` } })],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  // `npm run dev` against a server elsewhere: TRIBUTARY_SERVER=http://127.0.0.1:8080 npm run dev
  server: { proxy: { '/graphql': process.env['TRIBUTARY_SERVER'] ?? 'http://127.0.0.1:8080' } },
});
