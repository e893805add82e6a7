import { useEffect } from 'react'
import { GraphiQL, HISTORY_PLUGIN } from 'graphiql'
import { pick, useGraphiQL, useGraphiQLActions } from '@graphiql/react'
import { examples } from './examples.js'
import { fetcher } from './fetcher.js'
import { recall, remember } from './storage.js'
import { WALK } from './walk.jsx'

const PLUGINS = [WALK, HISTORY_PLUGIN]
const TABS = [{ query: examples[0].query }]

// On the first visit the panel of examples stands open and leaves room for the operations; from then on what the reader
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
      visiblePlugin={firstVisit ? WALK : undefined}
      defaultTabs={TABS}
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
            <WrappedLines />
            <SystemTheme />
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

/** Lets the editors follow the system from light to dark, as the rest of the page does, unless the reader chose one. */
function SystemTheme() {
  const theme = useGraphiQL((state) => state.theme)
  const { setTheme } = useGraphiQLActions()
  useEffect(() => {
    if (theme) return
    const dark = matchMedia('(prefers-color-scheme: dark)')
    const follow = () => setTheme(null)
    dark.addEventListener('change', follow)
    return () => dark.removeEventListener('change', follow)
  }, [theme, setTheme])
  return null
}
