/**
 * Dialogues as a module has them that the command is given.
 */
import { Codec, Dialogue, Wire } from "effect-handshake"
import * as Schema from "effect/Schema"

const fields = {
  Menu: { items: Dialogue.free(Schema.Int) },
  Key: { key: Schema.Redacted(Schema.String) },
  Open: {},
  Shut: { why: Dialogue.free(Schema.String) },
  Wrong: {}
}

const templates = {
  Menu: "MENU {items}",
  Key: "KEY {key}",
  Open: "OPEN",
  Shut: "SHUT {why}",
  Wrong: "WRONG"
}

const states = {
  greeting: Dialogue.client({ Hello: "menu" }),
  menu: Dialogue.server({ Menu: "key" }),
  key: Dialogue.client({ Key: "verdict" }),
  verdict: Dialogue.server({ Open: Dialogue.ready, Shut: Dialogue.refused() })
}

/** Who comes says who he is, and shows a key. */
export class Gate extends Dialogue.make<Gate>()({
  name: "gate",
  messages: { Hello: { user: Dialogue.free(Schema.String) }, ...fields },
  wire: Wire.text(Codec.lines(), { Hello: "HELLO {user}", ...templates }),
  live: Codec.lines(),
  start: "greeting",
  states,
  otherwise: { server: "Wrong" }
}) {}

/** The same, which greets in words that the other one does not know. */
export class NewGate extends Dialogue.make<NewGate>()({
  name: "gate",
  messages: { Hello: { user: Dialogue.free(Schema.String) }, ...fields },
  wire: Wire.text(Codec.lines(), { Hello: "GOOD DAY {user}", ...templates }),
  live: Codec.lines(),
  start: "greeting",
  states,
  otherwise: { server: "Wrong" }
}) {}
