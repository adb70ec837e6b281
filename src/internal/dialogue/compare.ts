/**
 * Two versions of a dialogue, compared: the client of one is played with the server of the other, breadth first, as far as their
 * snapshots tell.
 *
 * Each side is where its own version says, and what it has said and the other has not heard yet stands in a queue:
 *
 * | where a side is | what it does |
 * |---|---|
 * | `speak` | says any of the messages of its state |
 * | `listen` | hears the first of what the other has said |
 * | `open` | says one first, and then hears one in the same state |
 * | `ready`, `refused` | nothing more |
 *
 * They part where something that may be said is not read by the other as the same, where one is ready and the other is not, and
 * where both wait.
 *
 * @internal
 */
import type { Comparison, Line, Meeting, Parting } from "./compareModel.ts"
import type { Role } from "./model.ts"
import * as Reading from "./reading.ts"
import type { JsonSchema, Live, Snapshot, State, Target } from "./snapshotModel.ts"

type Version = "older" | "newer"

/** Where a side is. */
type Place =
  | {
    readonly state: string
    readonly mode: "speak" | "listen" | "open"
  }
  | { readonly end: "ready"; readonly live: Live }
  | { readonly end: "refused" }

/** What was said and not heard yet. */
interface Said {
  readonly message: string
  readonly state: string
}

interface Node {
  readonly places: Readonly<Record<Role, Place>>
  /** What each side has not heard yet. */
  readonly unheard: Readonly<Record<Role, ReadonlyArray<Said>>>
  readonly lines: ReadonlyArray<Line>
}

interface Sides {
  readonly snapshots: Readonly<Record<Role, Snapshot>>
  readonly versions: Readonly<Record<Role, Version>>
}

const other = (role: Role): Role => role === "client" ? "server" : "client"

/** A side that says more than this without being heard will not be. */
const mostUnheard = 4

export const compare = (older: Snapshot, given: Snapshot): Comparison => {
  // What cannot be looked into is the same in the same snapshot. In which order messages stand matters.
  const newer = JSON.stringify(older) === JSON.stringify(given) ? older : given
  const oldClient = meet({
    snapshots: { client: older, server: newer },
    versions: { client: "older", server: "newer" }
  })
  const newClient = meet({
    snapshots: { client: newer, server: older },
    versions: { client: "newer", server: "older" }
  })
  return { name: newer.name, isCompatible: oldClient.isCompatible && newClient.isCompatible, oldClient, newClient }
}

const enter = (snapshot: Snapshot, role: Role, name: string): Place => {
  const { turn } = snapshot.states[name]!
  return { state: name, mode: turn === "both" ? "open" : turn === role ? "speak" : "listen" }
}

const follow = (snapshot: Snapshot, role: Role, target: Target): Place =>
  "to" in target
    ? enter(snapshot, role, target.to)
    : "ready" in target
    ? { end: "ready", live: target.live ?? snapshot.live }
    : { end: "refused" }

const meet = (sides: Sides): Meeting => {
  const warnings = new Set<string>()
  const begin = (role: Role): Place => enter(sides.snapshots[role], role, sides.snapshots[role].start)
  const seen = new Set<string>()
  let level: ReadonlyArray<Node> = [
    { places: { client: begin("client"), server: begin("server") }, unheard: { client: [], server: [] }, lines: [] }
  ]
  while (level.length > 0) {
    const partings: Array<Parting> = []
    const next: Array<Node> = []
    for (const node of level) {
      const settled = settle(sides, node, warnings)
      if ("ends" in settled) {
        partings.push(settled)
        continue
      }
      const key = JSON.stringify([settled.places, settled.unheard])
      if (seen.has(key)) continue
      seen.add(key)
      next.push(...saying(sides, settled, warnings))
    }
    // What is sure is told before what nobody can decide.
    const parting = partings.find(({ isCertain }) => isCertain) ?? partings[0]
    if (parting !== undefined) return { isCompatible: false, parting, warnings: Array.from(warnings) }
    level = next
  }
  return { isCompatible: true, parting: undefined, warnings: Array.from(warnings) }
}

const isAt = (place: Place): place is Extract<Place, { readonly state: string }> => "state" in place

/** All that each side may say next. */
const saying = (sides: Sides, node: Node, warnings: Set<string>): ReadonlyArray<Node> => {
  const canSpeak = (role: Role): boolean => {
    const place = node.places[role]
    return isAt(place) && place.mode !== "listen"
  }
  // Whose words lie there already waits for the other. In which order both speak does not matter: neither hears the other before.
  const role =
    (["client", "server"] as const).filter(canSpeak).sort((a, b) =>
      node.unheard[other(a)].length - node.unheard[other(b)].length
    )[0]
  if (role === undefined) return []
  const place = node.places[role] as Extract<Place, { readonly state: string }>
  const snapshot = sides.snapshots[role]
  if (place.mode === "speak" && node.unheard[role].length > 0) {
    warnings.add(`${place.state}: ${shown(sides, role)} speaks, and ${shown(sides, other(role))} at the same time`)
  }
  return Object.entries(snapshot.states[place.state]!.says).map(([message, target]) => ({
    places: { ...node.places, [role]: spoken(snapshot, role, place, target) },
    unheard: {
      ...node.unheard,
      [other(role)]: [...node.unheard[other(role)], { message, state: place.state }]
    },
    lines: [...node.lines, { from: role, message, fields: exampleOf(snapshot, place.state, message) }]
  }))
}

/** Where a side is when it has spoken. */
const spoken = (
  snapshot: Snapshot,
  role: Role,
  place: Extract<Place, { readonly state: string }>,
  target: Target
): Place =>
  "refused" in target
    ? { end: "refused" }
    : place.mode === "open"
    ? { state: place.state, mode: "listen" }
    : follow(snapshot, role, target)

const exampleOf = ({ states, wire }: Snapshot, state: string, message: string): JsonSchema =>
  (states[state]!.wire ?? wire).messages[message]?.examples[0]?.fields ?? {}

/** Whatever can be heard is heard; then it is seen whether both can go on. */
const settle = (sides: Sides, from: Node, warnings: Set<string>): Node | Parting => {
  let node = from
  for (;;) {
    const role = (["server", "client"] as const).find((role) => {
      const place = node.places[role]
      return isAt(place) && place.mode === "listen" && node.unheard[role].length > 0
    })
    if (role === undefined) break
    const heard = hear(sides, node, role, warnings)
    if ("ends" in heard) return heard
    if ("unread" in heard) return unread(sides, node, role, heard, warnings)
    node = heard
  }
  return stuck(sides, node) ?? node
}

/** What was said and is not read. */
interface Unread {
  readonly said: Said
  readonly unread: Extract<Reading.Reading, { readonly _tag: "Unread" }>
}

const hear = (sides: Sides, node: Node, role: Role, warnings: Set<string>): Node | Parting | Unread => {
  const place = node.places[role] as Extract<Place, { readonly state: string }>
  const [said, ...rest] = node.unheard[role] as readonly [Said, ...ReadonlyArray<Said>]
  const speaker = other(role)
  const saying = { snapshot: sides.snapshots[speaker], state: said.state, role: speaker, message: said.message }
  const hearing = { snapshot: sides.snapshots[role], state: place.state }
  warn(sides, saying, hearing, role, warnings)
  const read = Reading.read(saying, hearing)
  if (read._tag === "Unread") return { said, unread: read }
  const target = saying.snapshot.states[said.state]!.says[said.message]!
  const isRefused = read.target === undefined || "refused" in read.target
  if ("refused" in target !== isRefused) {
    const why = isRefused
      ? `${shown(sides, role)} takes ${read.message} for a refusal, and ${shown(sides, speaker)} goes on`
      : `${shown(sides, speaker)} has refused, and ${shown(sides, role)} takes it for ${read.message} and goes on`
    return confusion(
      node,
      why,
      "one of them goes on alone"
    )
  }
  if (read.target === undefined || isRefused) {
    if (read.target !== undefined && "refused" in read.target && "refused" in target) {
      const [told, understood] = [target.refused.retryable, read.target.refused.retryable]
      if (told !== understood) {
        warnings.add(
          `${said.message} in ${said.state}: ${told ? "worth another try" : "for good"} as ${
            shown(sides, speaker)
          } says it, ${understood ? "worth another try" : "for good"} as ${shown(sides, role)} hears it`
        )
      }
    }
    return { ...node, places: { ...node.places, [role]: { end: "refused" } }, unheard: { ...node.unheard, [role]: [] } }
  }
  if (isTls(target) !== isTls(read.target)) {
    const [begins, not] = isTls(target) ? [speaker, role] : [role, speaker]
    return confusion(
      node,
      `TLS begins behind ${said.message} for ${shown(sides, begins)}, and not for ${shown(sides, not)}`,
      "the bytes of TLS are taken for messages"
    )
  }
  const next = follow(sides.snapshots[role], role, read.target)
  return { ...node, places: { ...node.places, [role]: next }, unheard: { ...node.unheard, [role]: rest } }
}

const isTls = (target: Target): boolean => "to" in target && target.tls === true

const shown = ({ versions }: Sides, role: Role): string => `the ${versions[role]} ${role}`

const whereOf = (place: Place): string => isAt(place) ? place.state : place.end

const confusion = ({ lines, places }: Node, why: string, how: string): Parting => ({
  conversation: lines,
  at: { client: whereOf(places.client), server: whereOf(places.server) },
  why,
  ends: "confusion",
  how,
  isCertain: true
})

/** Whether neither goes on, and both have not come to the same end. */
const stuck = (sides: Sides, node: Node): Parting | undefined => {
  const { client, server } = node.places
  const ready = (["client", "server"] as const).filter((role) =>
    !isAt(node.places[role]) && whereOf(node.places[role]) === "ready"
  )
  if (ready.length === 2) {
    const unheard = ready.find((role) => node.unheard[role].length > 0)
    if (unheard !== undefined) {
      const said = node.unheard[unheard][0]!.message
      return confusion(
        node,
        `${shown(sides, unheard)} is ready before it has heard ${said}`,
        "it is taken for what comes behind"
      )
    }
    return unlikeLives(sides, node)
  }
  if (ready.length === 1) {
    const [role] = ready as [Role]
    const place = node.places[other(role)]
    return confusion(
      node,
      `${shown(sides, role)} is ready, and ${shown(sides, other(role))} is ${
        isAt(place) ? `in ${place.state}` : "refused"
      }`,
      "one is ready, and the other is not"
    )
  }
  if (isAt(client) && isAt(server) && client.mode === "listen" && server.mode === "listen") {
    return confusion(
      node,
      `${shown(sides, "client")} waits in ${client.state}, and ${shown(sides, "server")} in ${server.state}`,
      "both wait for each other"
    )
  }
  const ahead = (["client", "server"] as const).find((role) => node.unheard[role].length > mostUnheard)
  return ahead === undefined ? undefined : confusion(
    node,
    `${shown(sides, other(ahead))} speaks on and on, and so does ${shown(sides, ahead)}`,
    "both speak, and nobody listens"
  )
}

/**
 * What is spoken behind the handshake, as far as that is known. Where the sides have codecs of their own, as of requests and of
 * responses, those of one version go together.
 */
const unlikeLives = (sides: Sides, node: Node): Parting | undefined => {
  const live = (role: Role): Live => (node.places[role] as { readonly live: Live }).live
  const [client, server] = [live("client"), live("server")]
  const text = Object.keys(client.client).findLast((text) => {
    const [own, theirs] = [client.client[text], server.server[text]]
    return theirs !== undefined && theirs !== own && theirs !== client.server[text] && own !== server.client[text]
  })
  return text === undefined ? undefined : confusion(
    node,
    `behind the handshake the text ${JSON.stringify(text)} is ${client.client[text]} for ${
      shown(sides, "client")
    }, and ${server.server[text]} for ${shown(sides, "server")}`,
    "both are ready, and do not understand what comes then"
  )
}

/** Something was said that the other does not read: what comes of it. */
const unread = (
  sides: Sides,
  node: Node,
  role: Role,
  { said, unread: { fields, isCertain, isNoticed, why } }: Unread,
  warnings: Set<string>
): Parting => {
  const speaker = other(role)
  // It is shown with what is not read of it.
  const at = node.lines.findLastIndex(({ from, message }) => from === speaker && message === said.message)
  const lines = node.lines.map((line, i) => i === at && fields !== undefined ? { ...line, fields } : line)
  const told = (ends: Parting["ends"], how: string): Parting => ({
    conversation: lines,
    at: { client: whereOf(node.places.client), server: whereOf(node.places.server) },
    why: `${shown(sides, role)} does not read ${said.message}: ${why}`,
    ends,
    how,
    isCertain
  })
  const target = sides.snapshots[speaker].states[said.state]!.says[said.message]!
  if (!isNoticed) {
    const parting = told("confusion", `${shown(sides, role)} may wait for more of it, or take a part of it for all`)
    // A part of a refusal may do.
    return "refused" in target ? { ...parting, isCertain: false } : parting
  }
  if ("refused" in target) return told("confusion", `${shown(sides, role)} does not see that it is refused`)
  const answer = sides.snapshots[role].otherwise[role]
  if (answer?.message === undefined) return told("confusion", `${shown(sides, role)} ends without a word`)
  const { message } = answer
  // What was said before that is heard before it.
  let before = node
  while (before.unheard[speaker].length > 0) {
    const place = before.places[speaker]
    if (!isAt(place) || place.mode !== "listen") break
    const heard = hear(sides, before, speaker, warnings)
    if (!("places" in heard)) {
      return told("confusion", `${shown(sides, speaker)} does not understand either what it hears`)
    }
    before = heard
  }
  const place = listening(sides.snapshots[speaker], speaker, before.places[speaker])
  if (!isAt(place)) {
    return told(
      "confusion",
      `${shown(sides, role)} says ${message}, and ${shown(sides, speaker)} is ${place.end} already`
    )
  }
  if (place.mode === "speak") {
    return told("confusion", `${shown(sides, role)} says ${message}, and ${shown(sides, speaker)} speaks on`)
  }
  const here = node.places[role]
  const heard = Reading.read(
    {
      snapshot: sides.snapshots[role],
      state: isAt(here) ? here.state : sides.snapshots[role].start,
      role,
      message,
      fields: answer.fields ?? {}
    },
    { snapshot: sides.snapshots[speaker], state: place.state }
  )
  if (heard._tag === "Unread") {
    return told(
      "confusion",
      `${shown(sides, role)} says ${message}, and ${shown(sides, speaker)} does not read that either`
    )
  }
  return heard.target === undefined || "refused" in heard.target
    ? told("refusal", `${shown(sides, role)} says ${message}, and ${shown(sides, speaker)} knows that it is refused`)
    : told("confusion", `${shown(sides, role)} says ${message}, and ${shown(sides, speaker)} goes on with it`)
}

/** Where a side listens next, if it says what stands first as long as it is to speak. */
const listening = (snapshot: Snapshot, role: Role, from: Place): Place => {
  let place = from
  for (let steps = 0; isAt(place) && place.mode === "speak" && steps < Object.keys(snapshot.states).length; steps++) {
    const target: Target | undefined = Object.values(snapshot.states[place.state]!.says).find((target) =>
      !("refused" in target)
    )
    if (target === undefined) break
    place = follow(snapshot, role, target)
  }
  return place
}

/** What parts nobody as long as all are quick and brief. */
const warn = (
  sides: Sides,
  said: Reading.Saying,
  heard: Reading.Hearing,
  role: Role,
  warnings: Set<string>
): void => {
  const own: State = said.snapshot.states[said.state]!
  const theirs: State = heard.snapshot.states[heard.state]!
  const [speaker, hearer] = [shown(sides, other(role)), shown(sides, role)]
  const tell = (what: "within" | "maxBytes" | "atMost", words: (limit: number) => string): void => {
    const limit = theirs[what]
    const before = own[what]
    if (limit === undefined || limit >= (before ?? Infinity)) return
    // Where no way leads back to a state, nobody counts.
    if (what === "atMost" && before === undefined) return
    warnings.add(
      `${heard.state}: ${hearer} ${words(limit)}, and ${speaker} ${
        before === undefined ? "knows no such limit" : `may go up to ${before}`
      }`
    )
  }
  tell("maxBytes", (limit) => `takes ${limit} bytes`)
  tell("within", (limit) => `waits ${limit} ms`)
  tell("atMost", (limit) => `comes to it ${limit} ${limit === 1 ? "time" : "times"}`)
}

// ------------------------------------------------------------------------------------------------------------------ as text

const lineOf = ({ fields, from, message }: Line): string =>
  `  ${from} -> ${message}${Object.keys(fields).length === 0 ? "" : ` ${JSON.stringify(fields)}`}`

const meeting = ({ isCompatible, parting, warnings }: Meeting, who: string): ReadonlyArray<string> => [
  isCompatible ? `${who} understand each other` : `${who} part`,
  ...(parting === undefined ? [] : [
    ...parting.conversation.map(lineOf),
    `  ${parting.why}`,
    `  ${parting.isCertain ? "" : "if that is so, "}it ends in ${
      parting.ends === "refusal" ? "a refusal" : "confusion"
    }: ${parting.how}`
  ]),
  ...warnings.map((warning) => `  beware: ${warning}`)
]

export const format = ({ name, newClient, oldClient }: Comparison): string =>
  `${
    [
      name,
      "",
      ...meeting(oldClient, "an older client and a newer server"),
      "",
      ...meeting(newClient, "a newer client and an older server")
    ].join("\n")
  }\n`
