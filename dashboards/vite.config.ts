import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

// GraphiQL's style sheet carries fonts within itself, which the content security policy would not load: ours do.
const withoutFonts: Plugin = {
  name: 'without-fonts',
  enforce: 'pre',
  transform: (code, id) => (id.endsWith('graphiql/dist/style.css') ? code.replace(/@font-face\s*\{[^}]*\}/g, '') : null),
};

/** The folder of the package that a module is of. */
function folderOf(id: string): string | null {
  for (let folder = dirname(id); folder.includes('node_modules'); folder = dirname(folder)) {
    const file = join(folder, 'package.json');
    if (existsSync(file) && typeof JSON.parse(readFileSync(file, 'utf8')).version === 'string') return folder;
  }
  return null;
}

function licence(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).toSorted().find((one) => /^licen[cs]e/i.test(one));
  const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8').replaceAll('\r\n', '\n').trim();
  return `${name} ${version}: ${license}\n\n${text}\n`;
}

// What is built in was written by others too: their licences go along.
const licences: Plugin = {
  name: 'licences',
  generateBundle(_options, bundle) {
    const ids = Object.values(bundle).flatMap((one) => (one.type === 'chunk' ? one.moduleIds : []));
    const folders = new Set(ids.map((id) => folderOf(id.replace(/^\0/, '').split('?')[0] ?? '')));
    const texts = [...folders].filter((folder) => folder !== null).map(licence);
    const rule = `\n${'-'.repeat(72)}\n\n`;
    this.emitFile({ type: 'asset', fileName: 'licences.txt', source: [...new Set(texts)].toSorted().join(rule) });
  },
};

// The build must give the same bytes wherever the folder lies: class names hash the style itself, never a path.
export default defineConfig({
  plugins: [svelte({ compilerOptions: { cssHash: ({ hash, css }) => `t${hash(css)}` } }), withoutFonts, licences],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    chunkSizeWarningLimit: 1_500,
    rolldownOptions: {
      input: ['index.html', 'graphiql.html'],
      checks: { pluginTimings: false },
      // React's packages say which of their modules are for a browser; all of ours are.
      onLog: (level, log, warn) => {
        if (log.code !== 'MODULE_LEVEL_DIRECTIVE') warn(level, log);
      },
    },
  },
  // `npm run dev` against a server elsewhere: TRIBUTARY_SERVER=http://127.0.0.1:8080 npm run dev
  server: { proxy: { '/graphql': { target: process.env['TRIBUTARY_SERVER'] ?? 'http://127.0.0.1:8080', ws: true } } },
});
