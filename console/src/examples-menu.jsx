import { ToolbarMenu, useGraphiQL, useGraphiQLActions } from '@graphiql/react'
import { examples } from './examples.js'

/** Opens an example in a new tab: the way back after one was changed or closed. */
export function ExamplesMenu() {
  const { addTab } = useGraphiQLActions()
  const queryEditor = useGraphiQL((state) => state.queryEditor)

  function open(query) {
    addTab()
    queryEditor.setValue(query)
  }

  const button = (
    <button type="button" className="graphiql-un-styled graphiql-toolbar-button" aria-label="Examples" title="Examples">
      <ExamplesIcon className="graphiql-toolbar-icon" aria-hidden="true" />
    </button>
  )
  return (
    <ToolbarMenu button={button}>
      {examples.map(({ name, query }) => (
        <ToolbarMenu.Item key={name} onSelect={() => open(query)}>
          {name}
        </ToolbarMenu.Item>
      ))}
    </ToolbarMenu>
  )
}

function ExamplesIcon(props) {
  return (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" {...props}>
      <rect x="4.5" y="3" width="15" height="18" rx="2" />
      <path d="M8.5 3v18M12 8.5h4.5M12 12.5h4.5" />
    </svg>
  )
}
