/**
 * What the parameters of a `postgres://` URL say, by the names of libpq (the PostgreSQL manual, 32.1.2): each of them is taken,
 * or refused with what to do instead.
 *
 * @internal
 */
import * as Result from "effect/Result"
import type * as Postgres from "../protocols/Postgres.ts"

/** What is taken of them, but for the files, which are not read yet. */
export interface Parameters {
  readonly options: Partial<
    Pick<
      Postgres.ClientOptions,
      | "applicationName"
      | "channelBinding"
      | "maxProtocolVersion"
      | "minProtocolVersion"
      | "minTlsVersion"
      | "parameters"
      | "requireAuth"
      | "sslmode"
      | "sslnegotiation"
    >
  >
  /** `system` is no file. */
  readonly sslrootcert: string | undefined
  readonly sslcert: string | undefined
  readonly sslkey: string | undefined
}

const sslmodes = ["disable", "prefer", "require", "verify-ca", "verify-full"] as const
const methods = ["trust", "password", "md5", "scram-sha-256"] as const

/** Those that are taken, and what they may be; `undefined` where that is anything. */
const values = {
  application_name: undefined,
  channel_binding: ["disable", "prefer", "require"],
  client_encoding: undefined,
  fallback_application_name: undefined,
  gssencmode: ["disable", "prefer"],
  load_balance_hosts: ["disable"],
  max_protocol_version: ["3.0", "3.2", "latest"],
  min_protocol_version: ["3.0", "3.2", "latest"],
  options: undefined,
  replication: undefined,
  require_auth: undefined,
  ssl_min_protocol_version: ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"],
  sslcert: undefined,
  sslcertmode: ["allow"],
  sslcompression: ["0"],
  sslkey: undefined,
  sslmode: sslmodes,
  sslnegotiation: ["postgres", "direct"],
  sslrootcert: undefined,
  sslsni: ["1"],
  target_session_attrs: ["any"]
} as const

const noGssapi = "this side has no GSSAPI"
const noStay = "a probe goes as soon as it is ready"
const oneHost = "probe each host by itself"

/** Those that are not, and what to do instead. */
const instead: Readonly<Record<string, string>> = {
  connect_timeout: "--timeout says how long it may take, as in --timeout 5s",
  dbname: "the database stands behind the host, as in postgres://ann@127.0.0.1/shop",
  gssdelegation: noGssapi,
  gsslib: noGssapi,
  host: "the host stands behind the @; there are no Unix sockets here",
  hostaddr: "the address stands behind the @, and --tls-name NAME is whom the certificate is for",
  keepalives: noStay,
  keepalives_count: noStay,
  keepalives_idle: noStay,
  keepalives_interval: noStay,
  krbsrvname: noGssapi,
  oauth_client_id: "this side has no OAuth",
  oauth_client_secret: "this side has no OAuth",
  oauth_issuer: "this side has no OAuth",
  oauth_scope: "this side has no OAuth",
  passfile: "--password-file FILE has the password, and nothing else in it",
  password: "a password is no parameter of it; --password-file or PGPASSWORD have it",
  port: "the port stands behind the host, as in postgres://ann@127.0.0.1:5432",
  requirepeer: "there are no Unix sockets here",
  requiressl: "sslmode=require is what it means",
  scram_client_key: "only a password can be shown",
  scram_server_key: "only a password can be shown",
  service: "write out what the service says",
  servicefile: "write out what the service says",
  ssl_max_protocol_version: "only the oldest version of TLS can be said: ssl_min_protocol_version",
  sslcrl: "lists of revoked certificates are not looked at",
  sslcrldir: "lists of revoked certificates are not looked at",
  sslkeylogfile: "keys of TLS are not written",
  sslpassword: "a password is no parameter of it; openssl pkey -in FILE -out FILE writes a key without one",
  tcp_user_timeout: noStay,
  user: "the user stands in front of the host, as in postgres://ann@127.0.0.1"
}

/** And of those that are taken, for values that are not. */
const otherValues: Readonly<Record<string, string>> = {
  gssencmode: noGssapi,
  load_balance_hosts: oneHost,
  sslcertmode: "a certificate is shown where --tls-cert or sslcert names one, to a server that asks",
  sslcompression: "TLS is not compressed",
  sslmode: "allow begins in clear, which prefer does not",
  sslsni: "the server is told the name of the host",
  target_session_attrs: "a probe takes any; in_hot_standby and default_transaction_read_only are among what it tells"
}

const isTaken = (name: string): name is keyof typeof values => Object.hasOwn(values, name)

/** Whether a text is URI-encoded UTF-8. */
export const isDecodable = (text: string): boolean => {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

/**
 * The parameters of a query; of one that comes twice the last one counts. A `+` is no space, `ssl=true` is what JDBC has for
 * `sslmode=require`, and of what may be anything an empty value is none, as with libpq.
 */
const pairsOf = (search: string): ReadonlyArray<readonly [name: string, value: string]> =>
  search.replace(/^\?/, "").split("&").flatMap((pair) => {
    if (pair === "") return []
    const at = pair.indexOf("=")
    const [name, value] = at === -1 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)]
    const said = decodeURIComponent(name)
    if (value === "" && isTaken(said) && values[said] === undefined) return []
    return [
      said === "ssl" && value === "true" ? ["sslmode", "require"] as const : [said, decodeURIComponent(value)] as const
    ]
  })

/** What is wrong with a parameter by itself. Its value is not repeated, for it may be a secret that stands in the wrong place. */
const problemWith = (name: string, value: string): string | undefined => {
  if (Object.hasOwn(instead, name)) return `${name} is not taken: ${instead[name]}`
  if (!isTaken(name)) return `it has a parameter ${JSON.stringify(name)}; there are ${Object.keys(values).join(", ")}`
  const known: ReadonlyArray<string> | undefined = values[name]
  if (known === undefined || known.includes(value)) return undefined
  const why = Object.hasOwn(otherValues, name) ? `: ${otherValues[name]}` : ""
  return `${name} is ${known.map((one) => JSON.stringify(one)).join(" or ")}${why}`
}

type Method = typeof methods[number]

/** The methods of libpq, and what they are called here. */
const requireable: Readonly<Record<string, Method | undefined>> = {
  none: "trust",
  ...Object.fromEntries(methods.map((method) => [method, method])),
  gss: undefined,
  sspi: undefined,
  oauth: undefined
}

/**
 * The methods that may be: those of a list, or without those that have a `!`. What is not said to be right stays what it is
 * by default, so that a password is shown to a server only that TLS verifies.
 */
const requireAuth = (list: string, isVerified: boolean): Result.Result<ReadonlyArray<Method>, string> => {
  const names = list.split(",").map((name) => name.trim())
  const negated = names.filter((name) => name.startsWith("!"))
  if (negated.length > 0 && negated.length < names.length) {
    return Result.fail("require_auth names what may be, or with ! what may not, and not both")
  }
  const plain = names.map((name) => name.replace(/^!/, ""))
  if (!plain.every((name) => Object.hasOwn(requireable, name))) {
    return Result.fail(`require_auth is a list of ${Object.keys(requireable).join(", ")}, all of them with a ! or none`)
  }
  const named = plain.flatMap((name) => requireable[name] ?? [])
  const usual: ReadonlyArray<Method> = isVerified ? methods : ["trust", "scram-sha-256"]
  const left = negated.length === 0 ? named : usual.filter((method) => !named.includes(method))
  return left.length === 0 ? Result.fail("require_auth leaves no method that this side knows") : Result.succeed(left)
}

/** `UTF8` as it may be written, or that of the user's terminal, which is nothing to a probe. */
const isOurs = (encoding: string): boolean =>
  ["auto", "utf8", "unicode"].includes(encoding.toLowerCase().replace(/[^a-z0-9]/g, ""))

const versionOf = (version: string): Postgres.Version => version === "3.0" ? version : "3.2"

/** What a query says, or what is wrong with it. */
export const parse = (search: string): Result.Result<Parameters, string> => {
  if (!isDecodable(search)) return Result.fail("it has a % that is not written %25")
  const pairs = pairsOf(search)
  for (const [name, value] of pairs) {
    const problem = problemWith(name, value)
    if (problem !== undefined) return Result.fail(problem)
  }
  const query: { readonly [Name in keyof typeof values]?: string } = Object.fromEntries(pairs)
  if (query.client_encoding !== undefined && !isOurs(query.client_encoding)) {
    return Result.fail("client_encoding is \"UTF8\" or \"auto\": texts are in UTF-8 here")
  }
  const sslmode = sslmodes.find((mode) => mode === query.sslmode)
  const { sslcert, sslkey, sslrootcert } = query
  if (sslrootcert === "system" && sslmode !== undefined && sslmode !== "verify-full") {
    return Result.fail(
      "sslrootcert=system goes with sslmode=verify-full only, for anybody may have a certificate of theirs"
    )
  }
  const isVerified = sslmode === undefined || sslmode.startsWith("verify") ||
    sslmode === "require" && sslrootcert !== undefined
  const auth = query.require_auth === undefined
    ? Result.succeed(undefined)
    : requireAuth(query.require_auth, isVerified)
  if (Result.isFailure(auth)) return Result.fail(auth.failure)
  const parameters = {
    ...query.options !== undefined && { options: query.options },
    ...query.replication !== undefined && { replication: query.replication }
  }
  return Result.succeed({
    options: {
      sslmode,
      // They were looked at above.
      sslnegotiation: query.sslnegotiation as "postgres" | "direct" | undefined,
      channelBinding: query.channel_binding as "disable" | "prefer" | "require" | undefined,
      requireAuth: auth.success,
      applicationName: query.application_name ?? query.fallback_application_name,
      minProtocolVersion: query.min_protocol_version && versionOf(query.min_protocol_version) || undefined,
      maxProtocolVersion: query.max_protocol_version && versionOf(query.max_protocol_version) || undefined,
      // Older ones than 1.2 are not spoken.
      minTlsVersion: query.ssl_min_protocol_version === "TLSv1.3" ? "TLSv1.3" : undefined,
      parameters
    },
    sslcert,
    sslkey,
    sslrootcert
  })
}

/** What is wrong with where a URL points that no other URL allows: no host, several ones, and Unix sockets. */
export const problemWithHost = (text: string): string | undefined => {
  const authority = /^[a-z]+:\/\/([^/?#]*)/i.exec(text)?.[1] ?? ""
  const host = authority.slice(authority.lastIndexOf("@") + 1)
  if (/^(?::\d*)?$/.test(host)) return "it has no host: only TCP is dialled, and no Unix socket"
  if (host.includes(",")) return `it has several hosts: ${oneHost}`
  if (/^(?:%2f|%40)/i.test(host)) return "it has a Unix socket for a host: only TCP is dialled"
  return undefined
}
