/**
 * `conform`: the command. What it does is loaded when it is asked for.
 *
 * @internal
 */
import { Argument, Command, Flag } from "effect/cli"
import * as Effect from "effect/Effect"
import * as DialogueFlags from "./dialogueFlags.ts"
import * as Flags from "./flags.ts"
import * as TlsFlags from "./tls.ts"

const { alpn: _, ...tls } = TlsFlags.clientFlags

export const conform = Command.make(
  "conform",
  {
    module: DialogueFlags.module,
    url: Argument.String("url").pipe(
      Argument.withMetavar("url"),
      Argument.withDescription("tcp://HOST:PORT, or tls://HOST[:443] where TLS comes first")
    ),
    ...DialogueFlags.given,
    runs: Flags.count("runs", 40, "Conversations that try transitions, at most"),
    timeout: Flags.duration("timeout", "10s", "How long one conversation may take"),
    patience: Flags.duration("patience", "2s", "How long the server may take to refuse a message that is not due"),
    ...tls,
    json: Flag.Boolean("json").pipe(Flag.withDescription("Print one JSON object"), Flag.withDefault(false))
  },
  ({ module, url, ...flags }) =>
    Effect.flatMap(Effect.promise(() => import("./conforming.ts")), ({ conform }) => conform(module, url, flags))
).pipe(
  Command.withShortDescription("Hold a server to a dialogue"),
  Command.withDescription(
    "Play the client of a dialogue against a server: try each transition, and in each state each message that is not " +
      "due there. What the server is to know, such as a login, is given with --set or --values; what is not given is " +
      "drawn, wrong logins too. Exit code: 0 the server does what is specified, 1 it does not or was never ready, " +
      "5 no connection, 64 wrong usage, 66 a file cannot be used"
  ),
  Command.withExamples([
    {
      command: "effect-handshake conform src/Vault.ts tcp://127.0.0.1:4000 --values login.json",
      description: "With a login that the server knows"
    },
    {
      command: "effect-handshake conform src/Vault.ts tcp://127.0.0.1:4000 --seed 7 --json",
      description: "Once more what was drawn from 7"
    }
  ])
)
