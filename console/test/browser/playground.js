import { chromium } from 'playwright-core'
import { groups } from '../material.js'

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

// How long anything that a reader waits for may take, in milliseconds.
const PATIENCE = 20_000

export function startBrowser() {
  return chromium.launch({
    executablePath: process.env.DAYBOOK_TEST_CHROMIUM ?? '/usr/bin/chromium',
    args: ARGUMENTS,
  })
}

/** Opens the playground and drives it as a reader does: by its list of examples, its run button and what it shows. */
export async function openPlayground(context, url) {
  const page = await context.newPage()
  page.setDefaultTimeout(PATIENCE)
  const seen = { requests: [], complaints: [] }
  page.on('request', (request) => seen.requests.push(request.url()))
  page.on('websocket', (socket) => seen.requests.push(socket.url()))
  page.on('pageerror', (error) => seen.complaints.push(String(error)))
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) seen.complaints.push(message.text())
  })
  await page.goto(url)
  // The run button does nothing before both editors are there.
  await page.locator('.graphiql-query-editor .view-line').first().waitFor()
  await page.locator('.graphiql-response .monaco-editor').first().waitFor()
  return new Playground(page, seen)
}

class Playground {
  constructor(page, seen) {
    this.page = page
    this.seen = seen
    this.live = page.getByRole('region', { name: 'Live balance' })
    this.examples = page.getByRole('navigation', { name: 'Examples' })
    this.runButton = page.getByRole('button', { name: /^Execute query/ })
  }

  /** Opens an example from the list, unfolding its group. */
  async open(name) {
    const group = groups.find(({ examples }) => examples.some((example) => example.name === name)).name
    const heading = this.examples.getByRole('button', { name: group, exact: true })
    if ((await heading.getAttribute('aria-expanded')) === 'false') await heading.click()
    await this.examples.getByRole('button', { name: new RegExp(`^(done: ?)?${name}$`) }).click()
    await this.holds(name)
  }

  /** Opens the example that comes next. */
  async next(name) {
    await this.examples.getByRole('button', { name: `Next: ${name}`, exact: true }).click()
    await this.holds(name)
  }

  /** Waits until the editor holds an operation of this name. */
  holds(name) {
    return this.page.locator('.graphiql-query-editor .view-line', { hasText: name }).first().waitFor()
  }

  /** Waits until an example is ticked off. */
  ticked(name) {
    return this.examples.locator('.daybook-done', { hasText: name }).waitFor()
  }

  /** Opens an example and presses run; returns its answer once `expected` accepts it. */
  async run(name, expected) {
    await this.open(name)
    await this.runButton.click()
    return this.answer(expected)
  }

  /** Runs a query again and again until `expected` accepts its answer: reads follow writes a moment later. */
  async runUntil(name, expected) {
    let data
    const deadline = Date.now() + PATIENCE
    while (Date.now() < deadline) {
      data = await this.run(name, () => true)
      if (expected(data)) return data
    }
    throw new Error(`${name} did not answer what was expected. The last answer was:\n${JSON.stringify(data)}`)
  }

  /** The answer on the right once `expected` accepts its data. */
  async answer(expected) {
    let text
    const deadline = Date.now() + PATIENCE
    while (Date.now() < deadline) {
      text = await this.page.evaluate(responseText)
      const data = parsed(text)?.data
      if (data && expected(data)) return data
      await this.page.waitForTimeout(50)
    }
    throw new Error(`The answer did not become what was expected. The last one was:\n${text}`)
  }

  /** Waits until the Live panel shows the text. */
  shows(text) {
    return this.live.getByText(text, { exact: true }).first().waitFor()
  }
}

/** Runs in the page: what the response editor holds, beyond the lines in view. */
function responseText() {
  const models = globalThis.__MONACO?.editor.getModels()
  return models?.find((model) => model.uri.path.endsWith('response.json'))?.getValue() ?? ''
}

function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
