// GraphiQL, a page of its own: the dashboard loads nothing of it. Release 4 is the last whose editor is CodeMirror; the
// next brings one that is eight times as large and builds its workers from text, which our policy would not run.

import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { createElement } from 'react';
import { createRoot } from 'react-dom/client';
import 'graphiql/style.css';
import './graphiql.css';
import { BLOCKS, EARNED } from './examples';

const target = document.getElementById('graphiql');
if (target === null) throw new Error('graphiql.html has no element with the id "graphiql"');

const socket = new URL('/graphql', location.href);
socket.protocol = socket.protocol === 'https:' ? 'wss:' : 'ws:';
const fetcher = createGraphiQLFetcher({ url: '/graphql', subscriptionUrl: socket.href });

// The reader's choice, which the dashboard's button makes, or else the system's.
const chosen = document.documentElement.dataset['theme'];
const dark = chosen === undefined ? matchMedia('(prefers-color-scheme: dark)').matches : chosen === 'dark';

// The editor would keep the key for itself, and whoever has no mouse could not leave it.
const leave = (event: KeyboardEvent): void => {
  if (event.key === 'Tab') event.stopPropagation();
};
target.addEventListener('keydown', leave, { capture: true });

createRoot(target).render(
  createElement(GraphiQL, {
    fetcher,
    forcedTheme: dark ? 'dark' : 'light',
    defaultTabs: [{ query: EARNED }, { query: BLOCKS }],
    defaultEditorToolsVisibility: true,
    // Its own logo leads to another site.
    children: createElement(GraphiQL.Logo, null, ' '),
  }),
);
