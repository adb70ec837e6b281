/**
 * The flags of TLS, and the files behind them.
 *
 * @internal
 */
import { Flag } from "effect/cli"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as PlatformError from "effect/PlatformError"
import * as Redacted from "effect/Redacted"
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto"
import { createSecureContext } from "node:tls"
import type * as Tls from "../protocols/Tls.ts"
import type * as Transport from "../Transport.ts"
import * as Flags from "./flags.ts"

const file = (name: string, description: string) =>
  Flag.Path(name, { typeName: "file" }).pipe(Flag.withDescription(description), Flag.optional)

/** What a server with TLS is told. */
export const serverFlags = {
  tlsCert: file("tls-cert", "The certificate and those between it and the authority, in PEM; read again on SIGHUP"),
  tlsKey: file("tls-key", "Its private key, in PEM"),
  tlsClientCa: file("tls-client-ca", "Clients must have a certificate from one of these authorities, in PEM")
}

export interface ServerFlags {
  readonly tlsCert: Option.Option<string>
  readonly tlsKey: Option.Option<string>
  readonly tlsClientCa: Option.Option<string>
}

/** What a client with TLS is told. */
export const clientFlags = {
  tlsCa: file("tls-ca", "The authorities that the server's certificate may come from, in PEM (default those of Node)"),
  tlsVerify: Flag.Literals("tls-verify", ["full", "authority", "none"]).pipe(
    Flag.withDescription(
      "What the server has to prove: authority and name, the authority alone, or nothing (default full)"
    ),
    Flag.withDefault("full")
  ),
  tlsName: Flag.String("tls-name").pipe(
    Flag.withMetavar("name"),
    Flag.withDescription("The name that its certificate must be for (default the host)"),
    Flag.optional
  ),
  tlsCert: file("tls-cert", "The certificate to show to a server that asks, in PEM"),
  tlsKey: file("tls-key", "Its private key, in PEM"),
  alpn: Flag.String("alpn").pipe(
    Flag.withMetavar("protocols"),
    Flag.withDescription("What to offer with tls://, such as h2,http/1.1 (default nothing)"),
    Flag.optional
  )
}

export interface ClientFlags {
  readonly tlsCa: Option.Option<string>
  readonly tlsVerify: "full" | "authority" | "none"
  readonly tlsName: Option.Option<string>
  readonly tlsCert: Option.Option<string>
  readonly tlsKey: Option.Option<string>
  readonly alpn: Option.Option<string>
}

const cannotRead = (path: string) => (error: PlatformError.PlatformError) =>
  // sysexits.h: EX_NOINPUT
  Flags.failing(
    `cannot read ${path}: ${error.cause instanceof Error ? error.cause.message : error.message}`,
    66
  )

export const read = (path: string): Effect.Effect<string, Flags.Exited, FileSystem.FileSystem> =>
  Effect.flatMap(
    FileSystem.FileSystem,
    (fs) => Effect.catchTag(fs.readFileString(path), "PlatformError", cannotRead(path))
  )

/** What Node makes of a file; it says why not, and no more of the file than that. */
const taking = <A>(take: () => A, otherwise: (why: string, code: unknown) => string): Effect.Effect<A, Flags.Exited> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(take())
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException
      return Flags.failing(otherwise(message.replace(/^error:[0-9a-f]*:/i, ""), code), 66)
    }
  })

const certificateIn = (path: string, pem: string) =>
  taking(() => new X509Certificate(pem), (why) => `${path} has no certificate in PEM in it: ${why}`)

const keyIn = (path: string, pem: string): Effect.Effect<KeyObject, Flags.Exited> =>
  taking(() => createPrivateKey(pem), (why, code) =>
    code === "ERR_MISSING_PASSPHRASE"
      ? `the key in ${path} has a passphrase; openssl pkey -in ${path} -out FILE writes it without one`
      : `${path} has no private key in PEM in it: ${why}`)

const authorities = Effect.fnUntraced(function*(path: Option.Option<string>) {
  if (Option.isNone(path)) return Option.none<string>()
  const pem = yield* read(path.value)
  yield* certificateIn(path.value, pem)
  return Option.some(pem)
})

// What is wrong with the files is said now, and not to the first who connects.
const certificate = Effect.fnUntraced(function*(
  flags: { readonly tlsCert: Option.Option<string>; readonly tlsKey: Option.Option<string> }
): Effect.fn.Return<Option.Option<Transport.TlsCertificate>, Flags.Exited, FileSystem.FileSystem> {
  const { tlsCert, tlsKey } = flags
  if (Option.isNone(tlsCert) && Option.isNone(tlsKey)) return Option.none()
  if (Option.isNone(tlsCert) || Option.isNone(tlsKey)) {
    return yield* Flags.failing("--tls-cert and --tls-key go together", Flags.usage)
  }
  const cert = yield* read(tlsCert.value)
  const key = yield* read(tlsKey.value)
  const x509 = yield* certificateIn(tlsCert.value, cert)
  if (!x509.checkPrivateKey(yield* keyIn(tlsKey.value, key))) {
    return yield* Flags.failing(`${tlsKey.value} is not the key of the certificate in ${tlsCert.value}`, 66)
  }
  yield* taking(() => createSecureContext({ cert, key }), (why) => `cannot use ${tlsCert.value}: ${why}`)
  return Option.some({ cert, key: Redacted.make(key) })
})

const serverOptions = Effect.fnUntraced(function*(
  flags: ServerFlags
): Effect.fn.Return<Option.Option<Tls.ServerOptions>, Flags.Exited, FileSystem.FileSystem> {
  const own = yield* certificate(flags)
  const ca = yield* authorities(flags.tlsClientCa)
  if (Option.isSome(ca) && Option.isNone(own)) {
    return yield* Flags.failing("--tls-client-ca needs --tls-cert and --tls-key", Flags.usage)
  }
  return Option.map(own, (certificate) => ({
    certificate,
    ...Option.isSome(ca) && { ca: ca.value, clientCertificate: "require" }
  }))
})

/**
 * The options of a server's TLS, as they are now: on SIGHUP the files are read again, for the connections from then on.
 */
export const serving = Effect.fnUntraced(function*(flags: ServerFlags) {
  const first = yield* serverOptions(flags)
  if (Option.isNone(first)) return Option.none<Effect.Effect<Tls.ServerOptions>>()
  let current = first.value
  const again = Effect.matchEffect(serverOptions(flags), {
    // It was said why.
    onFailure: () => Console.error("the certificate stays what it was"),
    onSuccess: (options) => {
      if (Option.isSome(options)) current = options.value
      return Console.log("certificate read again")
    }
  })
  const run = Effect.runForkWith(yield* Effect.context<FileSystem.FileSystem>())
  const onHangUp = () => {
    run(again)
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => process.on("SIGHUP", onHangUp)),
    () => Effect.sync(() => process.off("SIGHUP", onHangUp))
  )
  return Option.some(Effect.sync(() => current))
})

/** The same, for a server that is TLS and nothing else. */
export const required = Effect.fnUntraced(function*(flags: ServerFlags) {
  const options = yield* serving(flags)
  if (Option.isSome(options)) return options.value
  return yield* Flags.failing("--tls-cert and --tls-key are needed", Flags.usage)
})

/** The options of a client's TLS for a server of this host. */
export const clientOptions = Effect.fnUntraced(function*(
  flags: ClientFlags,
  host: string
): Effect.fn.Return<Tls.ClientOptions, Flags.Exited, FileSystem.FileSystem> {
  const own = yield* certificate(flags)
  const ca = yield* authorities(flags.tlsCa)
  return {
    servername: Option.getOrElse(flags.tlsName, () => host),
    verify: flags.tlsVerify,
    ...Option.isSome(ca) && { ca: ca.value },
    ...Option.isSome(own) && { certificate: own.value }
  }
})
