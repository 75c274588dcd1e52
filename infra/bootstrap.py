"""The composition root: the one place that names concrete classes, and puts them together."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import psycopg
import structlog

from infra.accesslog import AccessLog
from infra.audit.note import Signer
from infra.audit.tree import AuditTree
from infra.audit.trees import CHECKPOINT_KEY, EVENTS, open_trees
from infra.backup.shelf import Shelf
from infra.blindindex import HmacBlindIndex
from infra.certificates import Around, Certificates
from infra.clock import SystemClock
from infra.deadletters import DeadLetters
from infra.dossier.gathering import Sources
from infra.eventstore.appender import Appender
from infra.eventstore.erasurejournal import PostgresErasureJournal
from infra.eventstore.lastevents import PostgresLastEvents
from infra.eventstore.mapper import EventMapper
from infra.eventstore.reader import FencedReader
from infra.eventstore.sealedvalues import PostgresSealedValues
from infra.eventstore.snapshots import PostgresAggregateSnapshots
from infra.eventstore.store import PostgresEventStore
from infra.eventstore.unsealer import BoxUnsealer
from infra.history import changes
from infra.history.segmenting import Segmenter
from infra.history.segments import Snapshots
from infra.kafka.record import state_topic, topics
from infra.kek import KekPlace, KekUnusable, KeyStoreUnfit, open_keks
from infra.ledger import LedgerUnfit
from infra.ledgerguard import LedgerGuard
from infra.ledgerkeeping import KeptLedger, open_ledger
from infra.postgres.accesses import PostgresAccesses
from infra.postgres.accesswatch import AccessWatch
from infra.postgres.database import Pool, open_pool
from infra.postgres.embedded import EmbeddedPostgres, PostgresDidNotStart
from infra.postgres.indexpurger import PostgresIndexPurger
from infra.postgres.keyring import PostgresKeyRing
from infra.postgres.keystore import key_ring_at
from infra.postgres.migrate import DatabaseUnfit, check_namespace, migrate, needs_migration
from infra.postgres.segments import PostgresCheckpoints, PostgresSegments
from infra.postgres.tokens import PostgresTokenStore
from infra.postgres.views.holdings import PostgresHoldings
from infra.postgres.views.letterbox import PostgresLetters
from infra.postgres.views.standing import Standings
from infra.postgres.views.store import PostgresViewStore
from infra.postgres.views.tables import TABLES
from infra.postgres.views.views import PostgresViews
from infra.reacting import ReactionRunner
from infra.rebuild import Rebuilder
from infra.registrations import ViewedRegistrations
from infra.retention import RetentionRunner
from infra.rotation import Rotation
from infra.settings import Settings
from infra.subjects import Subjects
from infra.subscribertokens import ScopedSubscriberTokens
from infra.timeline import Histories
from infra.viewkeeping import ViewKeeper
from infra.webhooks.desk import WebhookDesk
from infra.webhooks.reach import Reach, networks_of
from infra.webhooks.store import KEY_NAME as WEBHOOK_KEY
from infra.webhooks.store import WebhookStore
from services.activities import Activities
from services.application import Application
from services.backups import Backups
from services.consents import Consents
from services.customers import Customers
from services.erasures import Erasures
from services.exports import Exports
from services.holds import Holds
from services.lawfulness import Lawfulness
from services.leads import Leads
from services.members import Members
from services.ports import DataKey, Unavailable
from services.privacyrequests import PrivacyRequests
from services.reactions import Reactions
from services.restrictions import Restrictions
from services.retention import Retentions
from services.subscribers import Subscribers
from services.tickets import Tickets
from services.unsealing import Unsealing
from services.webhooks import Webhooks

log = structlog.get_logger(__name__)


class CannotStart(Exception):
    """The system cannot be put together as it is set up; one line that says what to mend."""


@dataclass(frozen=True, slots=True)
class Database:
    """A migrated PostgreSQL; `embedded` where it is our own."""

    url: str
    embedded: EmbeddedPostgres | None


@dataclass(frozen=True, slots=True)
class System:
    """Everything the doors stand on, over one pool of connections. Belongs to one event loop."""

    settings: Settings
    database: Database
    pool: Pool
    clock: SystemClock
    mapper: EventMapper
    keks: KekPlace
    ring: PostgresKeyRing
    rotation: Rotation
    blind: HmacBlindIndex
    unsealer: BoxUnsealer
    reader: FencedReader
    store: PostgresEventStore
    application: Application
    customers: Customers
    leads: Leads
    tickets: Tickets
    members: Members
    privacy_requests: PrivacyRequests
    dossiers: Sources
    erasures: Erasures
    restrictions: Restrictions
    activities: Activities
    lawfulness: Lawfulness
    consents: Consents
    retentions: Retentions
    retention: RetentionRunner
    holds: Holds
    subscribers: Subscribers
    unsealing: Unsealing
    ledger: KeptLedger
    guard: LedgerGuard
    shelf: Shelf
    certificates: Certificates
    exports: Exports
    subjects: Subjects
    reactions: Reactions
    views: PostgresViews
    view_store: PostgresViewStore
    standings: Standings
    rebuilder: Rebuilder
    keeper: ViewKeeper
    reacting: ReactionRunner
    dead_letters: DeadLetters
    snapshots: Snapshots
    segmenter: Segmenter
    tokens: PostgresTokenStore
    accesses: AccessLog
    watch: AccessWatch
    trees: Mapping[str, AuditTree]
    webhooks: Webhooks
    webhook_store: WebhookStore
    webhook_desk: WebhookDesk
    reach: Reach

    @property
    def tree(self) -> AuditTree:
        """The tree over the event log."""
        return self.trees[EVENTS]

    @property
    def signer(self) -> Signer:
        """Signs as the event log: checkpoints, and whatever else is handed out with our name on it."""
        return self.tree.signer


@asynccontextmanager
async def open_database(settings: Settings, *, migrated: bool) -> AsyncIterator[Database]:
    """The database of the settings, the embedded one started where no other is named.

    With `migrated` what is missing is applied first; else a database that lacks something raises
    `CannotStart`. The embedded server stops with its last user.
    """
    async with AsyncExitStack() as stack:
        try:
            if settings.database_url is not None:
                database = Database(settings.database_url.get_secret_value(), None)
            else:
                server = await stack.enter_async_context(EmbeddedPostgres(settings.postgres_folder))
                database = Database(server.url, server)
            if migrated:
                await migrate(database.url, namespace=settings.namespace)
            elif await needs_migration(database.url):
                raise CannotStart("the database is not up to date: run `lethe migrate` first")
            else:
                await check_namespace(database.url, namespace=settings.namespace)
        except (PostgresDidNotStart, DatabaseUnfit) as error:
            raise CannotStart(str(error)) from None
        except psycopg.OperationalError:
            # Its text may name hosts, roles and more.
            raise Unavailable("the database cannot be reached") from None
        yield database


@asynccontextmanager
async def open_system(
    settings: Settings, *, migrated: bool = True, behind: bool = False
) -> AsyncIterator[System]:
    """The whole system, ready; closed again at the end, with what was queued stored.

    A database that lacks erasures of its ledger is opened only for who will apply them (`behind`).
    Raises `CannotStart` or `Unavailable`.
    """
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings, migrated=migrated))
        pool = await open_pool(database.url, size=settings.pool_size)
        stack.push_async_callback(pool.close)
        # Apart from the readers: who saw what is stored also while they wait for each other's connections.
        lane = await open_pool(database.url, size=1, application_name="lethe accesses")
        stack.push_async_callback(lane.close)
        try:
            keks = open_keks(settings.kek_reference, vault_token=settings.vault_token_value)
            ring = await key_ring_at(
                pool, keks, namespace=settings.namespace, cache_seconds=settings.key_cache_seconds
            )
            blind = HmacBlindIndex(await ring.system_key(HmacBlindIndex.KEY_NAME))
            checkpoint_key = await ring.system_key(CHECKPOINT_KEY)
            webhook_key = await ring.system_key(WEBHOOK_KEY)
            snapshot_key = await ring.system_key(PostgresAggregateSnapshots.KEY_NAME)
            ledger = await open_ledger(
                pool, settings.ledger_path, namespace=settings.namespace, clock=SystemClock()
            )
        except (KeyStoreUnfit, KekUnusable, LedgerUnfit) as error:
            raise CannotStart(str(error)) from None
        system, appender, shortened = _compose(
            settings,
            database,
            pool,
            lane,
            keks,
            ring,
            blind,
            ledger,
            checkpoint_key,
            webhook_key,
            snapshot_key,
        )
        stack.push_async_callback(shortened.close)
        stack.push_async_callback(appender.close)
        stack.push_async_callback(system.accesses.close)
        await system.guard.look(starting=True)
        if system.guard.fault is not None and not behind:
            raise CannotStart(f"{system.guard.fault}: run `lethe ledger apply`")
        yield system


def _compose(
    settings: Settings,
    database: Database,
    pool: Pool,
    lane: Pool,
    keks: KekPlace,
    ring: PostgresKeyRing,
    blind: HmacBlindIndex,
    ledger: KeptLedger,
    checkpoint_key: DataKey,
    webhook_key: DataKey,
    snapshot_key: DataKey,
) -> tuple[System, Appender, PostgresAggregateSnapshots]:
    clock = SystemClock()
    mapper = EventMapper(settings.namespace)
    reach = Reach(networks_of(settings.webhook_networks))
    webhook_store = WebhookStore(pool, mapper, webhook_key, settings.namespace)
    unsealer = BoxUnsealer(ring, settings.namespace)
    reader = FencedReader(pool)
    appender = Appender(pool, mapper, ring, clock, stored=reader.wake)
    store = PostgresEventStore(pool, mapper, appender)
    views = PostgresViews(pool, blind)
    lawfulness = Lawfulness(
        store,
        last=PostgresLastEvents(pool, mapper),
        registrations=ViewedRegistrations(views.directory),
        ring=ring,
        clock=clock,
    )
    shortened = PostgresAggregateSnapshots(pool, mapper, snapshot_key)
    application = Application(store, clock, lawfulness, shortened)
    subjects = Subjects(ring, views.timeline, views.directory)
    tokens = PostgresTokenStore(pool, clock)
    subscribers = Subscribers(application, tokens=ScopedSubscriberTokens(tokens))
    segments = PostgresSegments(pool)
    snapshots = Snapshots(segments, reader, mapper, TABLES)
    erasures = Erasures(
        application,
        shredder=ring,
        purger=PostgresIndexPurger(pool),
        subjects=subjects,
        journal=PostgresErasureJournal(pool, mapper),
        ledger=ledger,
    )
    trees = open_trees(pool, settings.namespace, checkpoint_key.secret, settings.witness_keys, clock)
    shelf = Shelf(database.url, pool, mapper, Backups(application), clock, settings.namespace)
    around = Around(
        _topics_of(settings),
        [it.strip() for it in (settings.subscribers or "").split(",") if it.strip()],
    )
    reactions = Reactions(application, unsealer)
    restrictions = Restrictions(application, marks=ring, ring=ring, subjects=subjects)
    holds = Holds(application, marks=ring, ring=ring, subjects=subjects)
    standings = Standings()
    view_store = PostgresViewStore(pool, unsealer, blind, standings=standings)
    rebuilder = Rebuilder(pool, reader, mapper, unsealer, blind, standings=standings)
    reacting = ReactionRunner(pool, reader, mapper, reactions, restrictions, holds, subscribers)
    system = System(
        settings=settings,
        database=database,
        pool=pool,
        clock=clock,
        mapper=mapper,
        keks=keks,
        ring=ring,
        rotation=Rotation(database.url, keks, erasures, settings.namespace),
        blind=blind,
        unsealer=unsealer,
        reader=reader,
        store=store,
        application=application,
        customers=Customers(application),
        leads=Leads(application),
        tickets=Tickets(application),
        members=Members(application),
        privacy_requests=PrivacyRequests(application, erasures=erasures, subjects=subjects),
        dossiers=Sources(
            namespace=settings.namespace,
            clock=clock,
            ring=ring,
            unsealer=unsealer,
            views=views,
            log=reader,
            events=Histories(reader, mapper, snapshots),
            accesses=PostgresAccesses(pool),
            personal=changes.personal,
            public=changes.public,
            streams=_topics_of(settings),
        ),
        erasures=erasures,
        ledger=ledger,
        guard=LedgerGuard(pool, ledger, ring, erasures),
        shelf=shelf,
        certificates=Certificates(pool, reader, mapper, trees[EVENTS], shelf, clock, around),
        activities=Activities(application),
        lawfulness=lawfulness,
        consents=Consents(application, lawfulness=lawfulness, ring=ring, subjects=subjects),
        retentions=Retentions(application),
        retention=RetentionRunner(PostgresHoldings(pool), views, reader, ring, erasures, clock),
        restrictions=restrictions,
        holds=holds,
        subscribers=subscribers,
        unsealing=Unsealing(
            subscribers,
            sealed=PostgresSealedValues(reader, mapper),
            unsealer=unsealer,
            ring=ring,
            lawfulness=lawfulness,
            clock=clock,
        ),
        exports=Exports(application),
        subjects=subjects,
        reactions=reactions,
        views=views,
        view_store=view_store,
        standings=standings,
        rebuilder=rebuilder,
        keeper=ViewKeeper(pool, rebuilder, standings),
        reacting=reacting,
        dead_letters=DeadLetters(PostgresLetters(pool), view_store, reader, mapper, [reacting]),
        snapshots=snapshots,
        segmenter=Segmenter(segments, snapshots, reader, mapper, PostgresCheckpoints(pool)),
        tokens=tokens,
        watch=AccessWatch(pool),
        accesses=AccessLog(
            PostgresAccesses(pool, lane), before_answer=settings.access_durable == "before_answer"
        ),
        trees=trees,
        webhooks=Webhooks(application, reach.unfit),
        webhook_store=webhook_store,
        webhook_desk=WebhookDesk(webhook_store, reader.last, reach, clock, settings.namespace),
        reach=reach,
    )
    return system, appender, shortened


def _topics_of(settings: Settings) -> Sequence[str]:
    """The topics that hold events or states: whatever a person's erasure has to reach there."""
    if settings.kafka is None:
        return ()
    states = settings.state_topics.split(",") if settings.state_topics is not None else ()
    return [*topics(settings.namespace), *(state_topic(settings.namespace, it) for it in states)]
