/**
 * The snapshot of a dialogue that can be spoken.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Equal from "effect/Equal"
import * as Codec from "../../Codec.ts"
import { InvalidGreeting } from "../../HandshakeError.ts"
import * as Described from "./described.ts"
import * as Examples from "./examples.ts"
import type { Role, Target as ModelTarget } from "./model.ts"
import {
  type Framing,
  type Live,
  type Message,
  type Otherwise,
  type Snapshot,
  type State,
  type Target,
  version,
  type Wire
} from "./snapshotModel.ts"
import { type Compiled, liveOf, type Said, saidOf, type Spec } from "./spec.ts"
import type { Bound } from "./wire.ts"

const made = new WeakMap<Spec, Snapshot>()

export const of = (spec: Spec): Snapshot => {
  const known = made.get(spec)
  if (known !== undefined) return known
  const snapshot = make(spec)
  made.set(spec, snapshot)
  return snapshot
}

const make = (spec: Spec): Snapshot => {
  const { name, source, start } = spec
  const tags = Object.keys(source.messages)
  const messages: Record<string, Message> = {}
  for (const tag of tags) messages[tag] = Described.message(spec.wire.fields.get(tag)!)
  const states: Record<string, State> = {}
  for (const state of spec.states.values()) states[state.name] = stateOf(spec, state, messages)
  const server = otherwiseOf(spec, "server")
  const client = otherwiseOf(spec, "client")
  return {
    version,
    name,
    start: start.name,
    states,
    messages,
    wire: wireOf(spec, spec.wire, messages, tags.filter((tag) => isOfDialogue(spec, tag))),
    otherwise: { ...(server !== undefined && { server }), ...(client !== undefined && { client }) },
    live: behind(source.live)
  }
}

/** Whether a message is ever said on the wire of the dialogue: not where it is only said in states with their own. */
const isOfDialogue = ({ otherwise, states, wire }: Spec, tag: string): boolean => {
  const saying = Array.from(states.values()).filter(({ due }) => due.includes(tag))
  return saying.length === 0 || saying.some((state) => state.wire === wire) ||
    [otherwise.server, otherwise.client].some((said) =>
      said !== undefined && typeof said !== "function" && saidOf(said)[0] === tag
    )
}

const stateOf = (spec: Spec, state: Compiled, messages: Snapshot["messages"]): State => {
  const { atMost, maxBytes, name, targets, turn, wire, within } = state
  const known = spec.source.states[name]!.wire === undefined ? undefined : Array.from(wire.fields.keys())
  return {
    turn,
    ...(within !== undefined && Duration.isFinite(within) && { within: Duration.toMillis(within) }),
    ...(maxBytes !== undefined && maxBytes !== Infinity && { maxBytes }),
    ...(atMost !== Infinity && { atMost }),
    says: Object.fromEntries(Array.from(targets, ([tag, target]) => [tag, targetOf(target)])),
    ...(known !== undefined && { wire: wireOf(spec, wire, messages, known) })
  }
}

const targetOf = (target: ModelTarget): Target => {
  if (typeof target === "string") return { to: target }
  switch (target._tag) {
    case "Encrypted":
      return { to: target.state, tls: true }
    case "Ready":
      return { ready: true, ...(target.live !== undefined && { live: behind(target.live) }) }
    case "Refused": {
      const { code, codeField, retryAfterField, retryable } = target
      return {
        refused: {
          retryable,
          ...(code !== undefined && { code }),
          ...(codeField !== undefined && { codeField }),
          ...(retryAfterField !== undefined && { retryAfterField })
        }
      }
    }
  }
}

/** Texts that tell one framing from another: nothing, more bytes than characters, a space, a letter. */
const probes = ["", "é", "two words", "a"]

/** What a codec makes of some texts, or of their bytes; nothing where it carries other things. */
const framingOf = (codec: Codec.Codec<unknown, unknown>): Framing => {
  const texts = framed(codec, (text) => text)
  return Object.keys(texts).length > 0 ? texts : framed(codec, (text) => encoder.encode(text))
}

const encoder = new TextEncoder()

const framed = (codec: Codec.Codec<unknown, unknown>, frameOf: (text: string) => unknown): Framing => {
  const framing: Record<string, string> = {}
  for (const text of probes) {
    try {
      const bytes = Codec.encodeAll(codec, [frameOf(text)])
      const [frame, ...more] = Codec.decodeAll(codec, bytes)
      if (more.length === 0 && Equal.equals(frame, frameOf(text))) framing[text] = Examples.hex(bytes)
    } catch {
      // It carries other things.
    }
  }
  return framing
}

const behind = (live: unknown): Live => ({
  server: framingOf(liveOf(live, "server")),
  client: framingOf(liveOf(live, "client"))
})

const wireOf = (spec: Spec, wire: Bound, messages: Snapshot["messages"], tags: ReadonlyArray<string>): Wire => {
  const isText = tags.some((tag) => ["text", "json"].includes(wire.form(tag).kind))
  return {
    ...(isText && { framing: framingOf(wire.codec(tags)) }),
    messages: Object.fromEntries(tags.map((tag) => {
      const state = Array.from(spec.states.values()).find((state) => state.wire === wire && state.due.includes(tag))
      const form = wire.form(tag)
      // Of a codec that cannot be looked into, examples are all that there is.
      const count = form.kind === "codec" && wire.fields.get(tag)!.names.length > 0 ? 3 : 1
      return [tag, { form, examples: Examples.of(state ?? alone(spec, wire, tag), tag, messages[tag]!, count) }]
    }))
  }
}

/** A state in which nothing else is said. */
const alone = ({ start }: Spec, wire: Bound, tag: string): Compiled => ({
  ...start,
  due: [tag],
  wire,
  maxBytes: undefined
})

const otherwiseOf = (spec: Spec, role: Role): Otherwise | undefined => {
  const told = spec.otherwise[role]
  if (told === undefined) return undefined
  const said = typeof told === "function" ? sample(told, spec.start.name) : told
  const varies = typeof told === "function" ? { varies: true as const } : {}
  if (said === undefined) return varies
  const [message, values] = saidOf(said)
  const fields = Examples.json(spec.wire.fields.get(message)!, values)
  return { message, ...(fields !== undefined && Object.keys(fields).length > 0 && { fields }), ...varies }
}

/** What is said to somebody who says what is not due. */
const sample = (
  told: Extract<Spec["otherwise"]["server"], (...args: never) => unknown>,
  state: string
): string | Said | undefined => {
  try {
    return told(new InvalidGreeting({ expected: "what is due", received: "something else" }), state, undefined)
  } catch {
    return undefined
  }
}
