import { useEffect } from 'react'
import { GraphiQL, HISTORY_PLUGIN } from 'graphiql'
import { pick, useGraphiQL } from '@graphiql/react'
import { ExamplesMenu } from './examples-menu.jsx'
import { examples } from './examples.js'
import { fetcher } from './fetcher.js'
import { LIVE } from './live.jsx'
import { recall, remember } from './storage.js'

const PLUGINS = [LIVE, HISTORY_PLUGIN]
const TABS = examples.map(({ query }) => ({ query }))

// On the first visit the Live panel stands open and leaves room for the operations; from then on what the reader
// chose holds, which GraphiQL keeps under these keys.
const firstVisit = recall('graphiql:tabState') === null
if (firstVisit) {
  remember('graphiql:docExplorerFlex', '0.28')
  remember('graphiql:editorFlex', '1.15')
}

export function Playground() {
  return (
    <GraphiQL
      fetcher={fetcher}
      plugins={PLUGINS}
      visiblePlugin={firstVisit ? LIVE : undefined}
      defaultTabs={TABS}
      defaultTheme="light"
      defaultEditorToolsVisibility={false}
      showPersistHeadersSettings={false}
    >
      <GraphiQL.Logo>
        <span className="daybook-title">Daybook</span>
      </GraphiQL.Logo>
      <GraphiQL.Toolbar>
        {({ prettify, merge, copy }) => (
          <>
            {prettify}
            {merge}
            {copy}
            <ExamplesMenu />
            <WrappedLines />
          </>
        )}
      </GraphiQL.Toolbar>
    </GraphiQL>
  )
}

/** Lets long lines wrap, in a size that shows a whole example at once; GraphiQL has no setting for either. */
function WrappedLines() {
  const { queryEditor, responseEditor } = useGraphiQL(pick('queryEditor', 'responseEditor'))
  useEffect(() => {
    for (const editor of [queryEditor, responseEditor]) {
      editor?.updateOptions({ fontSize: 13, wordWrap: 'on', wrappingIndent: 'indent' })
    }
  }, [queryEditor, responseEditor])
  return null
}
