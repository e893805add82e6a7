import { useEffect, useState, useSyncExternalStore } from 'react'
import { pick, useGraphiQL, useGraphiQLActions } from '@graphiql/react'
import { examples, groups } from './examples.js'
import { Live } from './live.jsx'
import { doneStore } from './runs.js'

/** The sidebar's panel that leads through the examples and shows what they do to an account. */
export const WALK = { title: 'Examples', icon: WalkIcon, content: Walk }

function Walk() {
  return (
    <>
      <Examples />
      <Live />
    </>
  )
}

function WalkIcon(props) {
  return (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" {...props}>
      <rect x="4.5" y="3" width="15" height="18" rx="2" />
      <path d="M8.5 3v18M12 8.5h4.5M12 12.5h4.5" />
    </svg>
  )
}

/** All examples by group, with those that went well ticked off. The group of the one that is open is unfolded. */
function Examples() {
  const current = useGraphiQL(({ tabs, activeTabIndex }) => tabs[activeTabIndex]?.title)
  const open = useOpenExample()
  const done = useSyncExternalStore(doneStore.subscribe, doneStore.get)
  const here = groups.find((group) => group.examples.some(({ name }) => name === current))?.name
  const [unfolded, setUnfolded] = useState(here)
  useEffect(() => {
    if (here) setUnfolded(here)
  }, [here])
  const next = examples[examples.findIndex(({ name }) => name === current) + 1]

  return (
    <nav className="daybook-examples" aria-label="Examples">
      <header>
        <h2>Examples</h2>
        {next && (
          <button type="button" className="daybook-next" onClick={() => open(next)}>
            Next: {next.name}
          </button>
        )}
      </header>
      {groups.map((group) => (
        <section key={group.name}>
          <h3>
            <button
              type="button"
              aria-expanded={unfolded === group.name}
              onClick={() => setUnfolded(unfolded === group.name ? undefined : group.name)}
            >
              {group.name}
            </button>
          </h3>
          {unfolded === group.name && (
            <ul>
              {group.examples.map((example) => (
                <li key={example.name} className={done.has(example.name) ? 'daybook-done' : undefined}>
                  <button type="button" aria-current={example.name === current} onClick={() => open(example)}>
                    {example.name}
                  </button>
                </li>
              ))}
            </ul>
          )}
        </section>
      ))}
    </nav>
  )
}

/**
 * Opens an example: in the tab that has it, else in place of another example, else in a new tab, so that neither many
 * tabs gather nor anything is lost that the reader wrote. Headers stay in place, so an actor set once stays set.
 */
function useOpenExample() {
  const { addTab, changeTab, stop, updateActiveTabValues } = useGraphiQLActions()
  const { tabs, activeTabIndex, queryEditor, variableEditor, responseEditor } = useGraphiQL(
    pick('tabs', 'activeTabIndex', 'queryEditor', 'variableEditor', 'responseEditor'),
  )
  return ({ name, query }) => {
    const shown = queryEditor.getValue()
    if (shown === query) return
    stop()
    const elsewhere = tabs.findIndex((tab, index) => index !== activeTabIndex && tab.query === query)
    if (elsewhere >= 0) return changeTab(elsewhere)
    const replaceable = shown.trim() === '' || examples.some((example) => example.query === shown)
    if (!replaceable || variableEditor?.getValue().trim()) addTab()
    queryEditor.setValue(query)
    responseEditor.setValue('')
    updateActiveTabValues({ query, operationName: name, response: '' })
  }
}
