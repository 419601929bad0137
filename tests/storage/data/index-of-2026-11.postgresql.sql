-- A database of rectal-node as of 2026-11-30 (commit 9f1579d), filled through its Index and Ledger: studies and deliveries in
-- every state, a row in every table.
CREATE TABLE public.association (
    identifier character varying(32) NOT NULL,
    study_instance_uid character varying(64) NOT NULL,
    open_until timestamp with time zone NOT NULL
);
CREATE TABLE public.delivery (
    identifier bigint NOT NULL,
    result bigint NOT NULL,
    sop_instance_uid character varying(64) NOT NULL,
    destination character varying(64) NOT NULL,
    state character varying(16) NOT NULL,
    attempts integer NOT NULL,
    next_attempt_at timestamp with time zone NOT NULL,
    reason text NOT NULL
);
CREATE SEQUENCE public.delivery_identifier_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.delivery_identifier_seq OWNED BY public.delivery.identifier;
CREATE TABLE public.instance (
    identifier bigint NOT NULL,
    study_instance_uid character varying(64) NOT NULL,
    series_instance_uid character varying(64) NOT NULL,
    sop_class_uid character varying(64) NOT NULL,
    sop_instance_uid character varying(64) NOT NULL,
    transfer_syntax_uid character varying(64) NOT NULL,
    revision integer NOT NULL,
    path text NOT NULL,
    digest character varying(64) NOT NULL,
    size bigint NOT NULL,
    calling_ae character varying(16) NOT NULL,
    received_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.instance_identifier_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.instance_identifier_seq OWNED BY public.instance.identifier;
CREATE TABLE public.meant_patient (
    study_instance_uid character varying(64) NOT NULL,
    identifier character varying(64) NOT NULL,
    issuer character varying(64) NOT NULL,
    born character varying(64) NOT NULL,
    said_at timestamp with time zone NOT NULL
);
CREATE TABLE public.quarantine (
    identifier bigint NOT NULL,
    path text NOT NULL,
    digest character varying(64) NOT NULL,
    size bigint NOT NULL,
    reason text NOT NULL,
    calling_ae character varying(16) NOT NULL,
    received_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.quarantine_identifier_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.quarantine_identifier_seq OWNED BY public.quarantine.identifier;
CREATE TABLE public.rejection (
    identifier bigint NOT NULL,
    study_instance_uid character varying(64) NOT NULL,
    series_instance_uid character varying(64) NOT NULL,
    sop_instance_uid character varying(64) NOT NULL,
    title character varying(16) NOT NULL,
    note_sop_instance_uid character varying(64) NOT NULL,
    received_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.rejection_identifier_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rejection_identifier_seq OWNED BY public.rejection.identifier;
CREATE TABLE public.result (
    identifier bigint NOT NULL,
    study_instance_uid character varying(64) NOT NULL,
    revision integer NOT NULL,
    role character varying(64) NOT NULL,
    sop_class_uid character varying(64) NOT NULL,
    sop_instance_uid character varying(64) NOT NULL,
    series_instance_uid character varying(64) NOT NULL,
    path text NOT NULL,
    digest character varying(64) NOT NULL,
    size bigint NOT NULL
);
CREATE SEQUENCE public.result_identifier_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.result_identifier_seq OWNED BY public.result.identifier;
CREATE TABLE public.returned (
    identifier bigint NOT NULL,
    study_instance_uid character varying(64) NOT NULL,
    series_instance_uid character varying(64) NOT NULL,
    sop_class_uid character varying(64) NOT NULL,
    sop_instance_uid character varying(64) NOT NULL,
    transfer_syntax_uid character varying(64) NOT NULL,
    path text NOT NULL,
    digest character varying(64) NOT NULL,
    size bigint NOT NULL,
    calling_ae character varying(16) NOT NULL,
    received_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.returned_identifier_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.returned_identifier_seq OWNED BY public.returned.identifier;
CREATE TABLE public.study (
    study_instance_uid character varying(64) NOT NULL,
    revision integer NOT NULL,
    state character varying(16) NOT NULL,
    series_count integer NOT NULL,
    instance_count integer NOT NULL,
    first_received_at timestamp with time zone NOT NULL,
    last_received_at timestamp with time zone NOT NULL,
    changed boolean NOT NULL,
    reason text NOT NULL
);
CREATE TABLE public.verdict (
    study_instance_uid character varying(64) NOT NULL,
    revision integer NOT NULL,
    document text NOT NULL
);
ALTER TABLE ONLY public.delivery ALTER COLUMN identifier SET DEFAULT nextval('public.delivery_identifier_seq'::regclass);
ALTER TABLE ONLY public.instance ALTER COLUMN identifier SET DEFAULT nextval('public.instance_identifier_seq'::regclass);
ALTER TABLE ONLY public.quarantine ALTER COLUMN identifier SET DEFAULT nextval('public.quarantine_identifier_seq'::regclass);
ALTER TABLE ONLY public.rejection ALTER COLUMN identifier SET DEFAULT nextval('public.rejection_identifier_seq'::regclass);
ALTER TABLE ONLY public.result ALTER COLUMN identifier SET DEFAULT nextval('public.result_identifier_seq'::regclass);
ALTER TABLE ONLY public.returned ALTER COLUMN identifier SET DEFAULT nextval('public.returned_identifier_seq'::regclass);
INSERT INTO public.association VALUES ('abcdef0123456789', '1.2.3.1', '2026-12-01 11:46:40+00');
INSERT INTO public.delivery VALUES (1, 1, '1.2.826.0.1.9.4.1.6.1', 'PACS', 'PENDING', 0, '2026-11-30 08:08:20+00', '');
INSERT INTO public.delivery VALUES (3, 2, '1.2.826.0.1.9.3.1.17.1', 'WORKSTATION', 'PENDING', 0, '2026-11-30 08:10:00+00', '');
INSERT INTO public.delivery VALUES (5, 3, '1.2.826.0.1.9.3.1.17.2', 'WORKSTATION', 'PENDING', 0, '2026-11-30 08:10:00+00', '');
INSERT INTO public.delivery VALUES (7, 4, '1.2.826.0.1.9.3.1.6.1', 'WORKSTATION', 'PENDING', 0, '2026-11-30 08:10:00+00', '');
INSERT INTO public.delivery VALUES (9, 5, '1.2.826.0.1.9.3.1.7.1', 'WORKSTATION', 'PENDING', 0, '2026-11-30 08:10:00+00', '');
INSERT INTO public.delivery VALUES (2, 2, '1.2.826.0.1.9.3.1.17.1', 'PACS', 'DELIVERED', 1, '2026-11-30 08:11:41+00', '');
INSERT INTO public.delivery VALUES (4, 3, '1.2.826.0.1.9.3.1.17.2', 'PACS', 'DELIVERED', 1, '2026-11-30 08:11:42+00', 'status B000: coerced');
INSERT INTO public.delivery VALUES (6, 4, '1.2.826.0.1.9.3.1.6.1', 'PACS', 'FAILED', 1, '2026-11-30 08:10:00+00', 'status A900: data set does not match SOP class');
INSERT INTO public.delivery VALUES (8, 5, '1.2.826.0.1.9.3.1.7.1', 'PACS', 'PENDING', 1, '2026-11-30 08:13:20+00', 'connection refused');
INSERT INTO public.delivery VALUES (12, 8, '1.2.826.0.1.9.6.2.6.1', 'PACS', 'PENDING', 0, '2026-11-30 08:15:05+00', '');
INSERT INTO public.delivery VALUES (11, 7, '1.2.826.0.1.9.6.1.7.1', 'PACS', 'STOPPED', 0, '2026-11-30 08:15:00+00', 'E-PATIENT-MIX: it names another patient than the study');
INSERT INTO public.delivery VALUES (10, 6, '1.2.826.0.1.9.6.1.6.1', 'PACS', 'REVOKED', 1, '2026-11-30 08:15:02+00', 'E-PATIENT-MIX: it names another patient than the study');
INSERT INTO public.delivery VALUES (13, 10, '1.2.826.0.1.9.3.2.6.1', 'PACS', 'PENDING', 0, '2026-11-30 08:15:50+00', '');
INSERT INTO public.delivery VALUES (14, 10, '1.2.826.0.1.9.3.2.6.1', 'WORKSTATION', 'PENDING', 0, '2026-11-30 08:15:50+00', '');
INSERT INTO public.instance VALUES (1, '1.2.3.1', '1.2.3.1.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.1.1.1', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.1/1.2.3.1.1/1.2.3.1.1.1-0000000000000001.dcm', '0000000000000000000000000000000000000000000000000000000000000001', 1001, 'SCANNER', '2026-11-30 08:00:01+00');
INSERT INTO public.instance VALUES (2, '1.2.3.1', '1.2.3.1.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.1.1.2', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.1/1.2.3.1.1/1.2.3.1.1.2-0000000000000002.dcm', '0000000000000000000000000000000000000000000000000000000000000002', 1002, 'SCANNER', '2026-11-30 08:00:02+00');
INSERT INTO public.instance VALUES (3, '1.2.3.1', '1.2.3.1.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.1.1.3', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.1/1.2.3.1.1/1.2.3.1.1.3-0000000000000003.dcm', '0000000000000000000000000000000000000000000000000000000000000003', 1003, 'SCANNER', '2026-11-30 08:00:03+00');
INSERT INTO public.instance VALUES (4, '1.2.3.1', '1.2.3.1.2', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.1.2.1', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.1/1.2.3.1.2/1.2.3.1.2.1-0000000000000004.dcm', '0000000000000000000000000000000000000000000000000000000000000004', 1004, 'SCANNER', '2026-11-30 08:00:04+00');
INSERT INTO public.instance VALUES (5, '1.2.3.1', '1.2.3.1.2', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.1.2.2', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.1/1.2.3.1.2/1.2.3.1.2.2-0000000000000005.dcm', '0000000000000000000000000000000000000000000000000000000000000005', 1005, 'SCANNER', '2026-11-30 08:00:05+00');
INSERT INTO public.instance VALUES (6, '1.2.3.1', '1.2.3.1.2', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.1.2.3', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.1/1.2.3.1.2/1.2.3.1.2.3-0000000000000006.dcm', '0000000000000000000000000000000000000000000000000000000000000006', 1006, 'SCANNER', '2026-11-30 08:00:06+00');
INSERT INTO public.instance VALUES (7, '1.2.3.2', '1.2.3.2.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.2.1.1', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.2/1.2.3.2.1/1.2.3.2.1.1-0000000000000007.dcm', '0000000000000000000000000000000000000000000000000000000000000007', 1007, 'SCANNER', '2026-11-30 08:00:07+00');
INSERT INTO public.instance VALUES (8, '1.2.3.2', '1.2.3.2.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.2.1.2', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.2/1.2.3.2.1/1.2.3.2.1.2-0000000000000008.dcm', '0000000000000000000000000000000000000000000000000000000000000008', 1008, 'SCANNER', '2026-11-30 08:00:08+00');
INSERT INTO public.instance VALUES (9, '1.2.3.2', '1.2.3.2.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.2.1.3', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.2/1.2.3.2.1/1.2.3.2.1.3-0000000000000009.dcm', '0000000000000000000000000000000000000000000000000000000000000009', 1009, 'SCANNER', '2026-11-30 08:00:09+00');
INSERT INTO public.instance VALUES (10, '1.2.3.2', '1.2.3.2.2', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.2.2.1', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.2/1.2.3.2.2/1.2.3.2.2.1-000000000000000a.dcm', '000000000000000000000000000000000000000000000000000000000000000a', 1010, 'SCANNER', '2026-11-30 08:00:10+00');
INSERT INTO public.instance VALUES (11, '1.2.3.2', '1.2.3.2.2', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.2.2.2', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.2/1.2.3.2.2/1.2.3.2.2.2-000000000000000b.dcm', '000000000000000000000000000000000000000000000000000000000000000b', 1011, 'SCANNER', '2026-11-30 08:00:11+00');
INSERT INTO public.instance VALUES (12, '1.2.3.2', '1.2.3.2.2', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.2.2.3', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.2/1.2.3.2.2/1.2.3.2.2.3-000000000000000c.dcm', '000000000000000000000000000000000000000000000000000000000000000c', 1012, 'SCANNER', '2026-11-30 08:00:12+00');
INSERT INTO public.instance VALUES (13, '1.2.3.3', '1.2.3.3.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.3.1.1', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.3/1.2.3.3.1/1.2.3.3.1.1-000000000000000d.dcm', '000000000000000000000000000000000000000000000000000000000000000d', 1013, 'SCANNER', '2026-11-30 08:00:13+00');
INSERT INTO public.instance VALUES (14, '1.2.3.3', '1.2.3.3.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.3.1.2', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.3/1.2.3.3.1/1.2.3.3.1.2-000000000000000e.dcm', '000000000000000000000000000000000000000000000000000000000000000e', 1014, 'SCANNER', '2026-11-30 08:00:14+00');
INSERT INTO public.instance VALUES (15, '1.2.3.3', '1.2.3.3.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.3.1.3', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.3/1.2.3.3.1/1.2.3.3.1.3-000000000000000f.dcm', '000000000000000000000000000000000000000000000000000000000000000f', 1015, 'SCANNER', '2026-11-30 08:00:15+00');
INSERT INTO public.instance VALUES (16, '1.2.3.3', '1.2.3.3.2', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.3.2.1', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.3/1.2.3.3.2/1.2.3.3.2.1-0000000000000010.dcm', '0000000000000000000000000000000000000000000000000000000000000010', 1016, 'SCANNER', '2026-11-30 08:00:16+00');
INSERT INTO public.instance VALUES (17, '1.2.3.3', '1.2.3.3.2', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.3.2.2', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.3/1.2.3.3.2/1.2.3.3.2.2-0000000000000011.dcm', '0000000000000000000000000000000000000000000000000000000000000011', 1017, 'SCANNER', '2026-11-30 08:00:17+00');
INSERT INTO public.instance VALUES (18, '1.2.3.3', '1.2.3.3.2', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.3.2.3', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.3/1.2.3.3.2/1.2.3.3.2.3-0000000000000012.dcm', '0000000000000000000000000000000000000000000000000000000000000012', 1018, 'SCANNER', '2026-11-30 08:00:18+00');
INSERT INTO public.instance VALUES (19, '1.2.3.4', '1.2.3.4.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.4.1.1', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.4/1.2.3.4.1/1.2.3.4.1.1-0000000000000013.dcm', '0000000000000000000000000000000000000000000000000000000000000013', 1019, 'SCANNER', '2026-11-30 08:00:19+00');
INSERT INTO public.instance VALUES (20, '1.2.3.4', '1.2.3.4.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.4.1.2', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.4/1.2.3.4.1/1.2.3.4.1.2-0000000000000014.dcm', '0000000000000000000000000000000000000000000000000000000000000014', 1020, 'SCANNER', '2026-11-30 08:00:20+00');
INSERT INTO public.instance VALUES (21, '1.2.3.4', '1.2.3.4.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.4.1.3', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.4/1.2.3.4.1/1.2.3.4.1.3-0000000000000015.dcm', '0000000000000000000000000000000000000000000000000000000000000015', 1021, 'SCANNER', '2026-11-30 08:00:21+00');
INSERT INTO public.instance VALUES (22, '1.2.3.4', '1.2.3.4.2', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.4.2.1', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.4/1.2.3.4.2/1.2.3.4.2.1-0000000000000016.dcm', '0000000000000000000000000000000000000000000000000000000000000016', 1022, 'SCANNER', '2026-11-30 08:00:22+00');
INSERT INTO public.instance VALUES (23, '1.2.3.4', '1.2.3.4.2', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.4.2.2', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.4/1.2.3.4.2/1.2.3.4.2.2-0000000000000017.dcm', '0000000000000000000000000000000000000000000000000000000000000017', 1023, 'SCANNER', '2026-11-30 08:00:23+00');
INSERT INTO public.instance VALUES (24, '1.2.3.4', '1.2.3.4.2', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.4.2.3', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.4/1.2.3.4.2/1.2.3.4.2.3-0000000000000018.dcm', '0000000000000000000000000000000000000000000000000000000000000018', 1024, 'SCANNER', '2026-11-30 08:00:24+00');
INSERT INTO public.instance VALUES (25, '1.2.3.5', '1.2.3.5.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.5.1.1', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.5/1.2.3.5.1/1.2.3.5.1.1-0000000000000019.dcm', '0000000000000000000000000000000000000000000000000000000000000019', 1025, 'SCANNER', '2026-11-30 08:00:25+00');
INSERT INTO public.instance VALUES (26, '1.2.3.5', '1.2.3.5.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.5.1.2', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.5/1.2.3.5.1/1.2.3.5.1.2-000000000000001a.dcm', '000000000000000000000000000000000000000000000000000000000000001a', 1026, 'SCANNER', '2026-11-30 08:00:26+00');
INSERT INTO public.instance VALUES (27, '1.2.3.5', '1.2.3.5.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.5.1.3', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.5/1.2.3.5.1/1.2.3.5.1.3-000000000000001b.dcm', '000000000000000000000000000000000000000000000000000000000000001b', 1027, 'SCANNER', '2026-11-30 08:00:27+00');
INSERT INTO public.instance VALUES (28, '1.2.3.5', '1.2.3.5.2', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.5.2.1', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.5/1.2.3.5.2/1.2.3.5.2.1-000000000000001c.dcm', '000000000000000000000000000000000000000000000000000000000000001c', 1028, 'SCANNER', '2026-11-30 08:00:28+00');
INSERT INTO public.instance VALUES (29, '1.2.3.5', '1.2.3.5.2', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.5.2.2', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.5/1.2.3.5.2/1.2.3.5.2.2-000000000000001d.dcm', '000000000000000000000000000000000000000000000000000000000000001d', 1029, 'SCANNER', '2026-11-30 08:00:29+00');
INSERT INTO public.instance VALUES (30, '1.2.3.5', '1.2.3.5.2', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.5.2.3', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.5/1.2.3.5.2/1.2.3.5.2.3-000000000000001e.dcm', '000000000000000000000000000000000000000000000000000000000000001e', 1030, 'SCANNER', '2026-11-30 08:00:30+00');
INSERT INTO public.instance VALUES (31, '1.2.3.6', '1.2.3.6.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.6.1.1', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.6/1.2.3.6.1/1.2.3.6.1.1-000000000000001f.dcm', '000000000000000000000000000000000000000000000000000000000000001f', 1031, 'SCANNER', '2026-11-30 08:00:31+00');
INSERT INTO public.instance VALUES (32, '1.2.3.6', '1.2.3.6.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.6.1.2', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.6/1.2.3.6.1/1.2.3.6.1.2-0000000000000020.dcm', '0000000000000000000000000000000000000000000000000000000000000020', 1032, 'SCANNER', '2026-11-30 08:00:32+00');
INSERT INTO public.instance VALUES (33, '1.2.3.6', '1.2.3.6.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.6.1.3', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.6/1.2.3.6.1/1.2.3.6.1.3-0000000000000021.dcm', '0000000000000000000000000000000000000000000000000000000000000021', 1033, 'SCANNER', '2026-11-30 08:00:33+00');
INSERT INTO public.instance VALUES (34, '1.2.3.6', '1.2.3.6.2', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.6.2.1', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.6/1.2.3.6.2/1.2.3.6.2.1-0000000000000022.dcm', '0000000000000000000000000000000000000000000000000000000000000022', 1034, 'SCANNER', '2026-11-30 08:00:34+00');
INSERT INTO public.instance VALUES (35, '1.2.3.6', '1.2.3.6.2', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.6.2.2', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.6/1.2.3.6.2/1.2.3.6.2.2-0000000000000023.dcm', '0000000000000000000000000000000000000000000000000000000000000023', 1035, 'SCANNER', '2026-11-30 08:00:35+00');
INSERT INTO public.instance VALUES (36, '1.2.3.6', '1.2.3.6.2', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.6.2.3', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.6/1.2.3.6.2/1.2.3.6.2.3-0000000000000024.dcm', '0000000000000000000000000000000000000000000000000000000000000024', 1036, 'SCANNER', '2026-11-30 08:00:36+00');
INSERT INTO public.instance VALUES (37, '1.2.3.1', '1.2.3.1.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.1.1.1', '1.2.840.10008.1.2.1', 2, 'objects/1.2.3.1/1.2.3.1.1/1.2.3.1.1.1-0000000000000025.dcm', '0000000000000000000000000000000000000000000000000000000000000025', 1037, 'SCANNER', '2026-11-30 08:00:37+00');
INSERT INTO public.instance VALUES (38, '1.2.3.1', '1.2.3.1.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.1.1.2', '1.2.840.10008.1.2.4.70', 2, 'objects/1.2.3.1/1.2.3.1.1/1.2.3.1.1.2-0000000000000026.dcm', '0000000000000000000000000000000000000000000000000000000000000026', 1038, 'SCANNER', '2026-11-30 08:00:38+00');
INSERT INTO public.instance VALUES (39, '1.2.3.1', '1.2.3.1.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.1.1.2', '1.2.840.10008.1.2.1', 3, 'objects/1.2.3.1/1.2.3.1.1/1.2.3.1.1.2-0000000000000384.dcm', '0000000000000000000000000000000000000000000000000000000000000384', 1039, 'SCANNER', '2026-11-30 08:00:39+00');
INSERT INTO public.instance VALUES (40, '1.2.3.3', '1.2.3.3.1', '1.2.840.10008.5.1.4.1.1.4', '1.2.3.3.1.1', '1.2.840.10008.1.2.1', 2, 'objects/1.2.3.3/1.2.3.3.1/1.2.3.3.1.1-0000000000000385.dcm', '0000000000000000000000000000000000000000000000000000000000000385', 1040, 'SCANNER', '2026-11-30 08:00:40+00');
INSERT INTO public.instance VALUES (41, '1.2.3.99', '1.2.3.99.1', '1.2.840.10008.5.1.4.1.1.88.59', '1.2.3.99.1.1', '1.2.840.10008.1.2.1', 1, 'objects/1.2.3.99/1.2.3.99.1/1.2.3.99.1.1-000000000000002b.dcm', '000000000000000000000000000000000000000000000000000000000000002b', 1043, 'SCANNER', '2026-11-30 08:00:43+00');
INSERT INTO public.meant_patient VALUES ('1.2.3.6', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', '2026-11-30 08:15:03+00');
INSERT INTO public.quarantine VALUES (1, 'quarantine/000000000000000000000000000000000000000000000000000000000000004d.dcm', '000000000000000000000000000000000000000000000000000000000000004e', 12, 'no DICOM file: there is no DICM prefix', 'SCANNER', '2026-11-30 08:16:30+00');
INSERT INTO public.rejection VALUES (1, '1.2.3.1', '1.2.3.1.1', '1.2.3.1.1.1', '113001', '1.2.3.99.1.1', '2026-11-30 08:00:43+00');
INSERT INTO public.rejection VALUES (2, '1.2.3.88', '1.2.3.88.1', '1.2.3.88.1.1', '113001', '1.2.3.99.1.1', '2026-11-30 08:00:43+00');
INSERT INTO public.result VALUES (1, '1.2.3.4', 1, 'report', '1.2.840.10008.5.1.4.1.1.88.33', '1.2.826.0.1.9.4.1.6.1', '1.2.826.0.1.9.4.1.6', 'objects/1.2.3.4/1.2.826.0.1.9.4.1.6/1.2.826.0.1.9.4.1.6.1-0123456789abcdef.dcm', '00000000000000000000000000000000000000000000000000000000000013f3', 4001);
INSERT INTO public.result VALUES (2, '1.2.3.3', 1, 'T2WI.segmentation', '1.2.840.10008.5.1.4.1.1.66.4', '1.2.826.0.1.9.3.1.17.1', '1.2.826.0.1.9.3.1.17', 'objects/1.2.3.3/1.2.826.0.1.9.3.1.17/1.2.826.0.1.9.3.1.17.1-0123456789abcdef.dcm', '00000000000000000000000000000000000000000000000000000000000013fe', 4001);
INSERT INTO public.result VALUES (3, '1.2.3.3', 1, 'T2WI.segmentation', '1.2.840.10008.5.1.4.1.1.66.4', '1.2.826.0.1.9.3.1.17.2', '1.2.826.0.1.9.3.1.17', 'objects/1.2.3.3/1.2.826.0.1.9.3.1.17/1.2.826.0.1.9.3.1.17.2-0123456789abcdef.dcm', '00000000000000000000000000000000000000000000000000000000000013ff', 4002);
INSERT INTO public.result VALUES (4, '1.2.3.3', 1, 'report', '1.2.840.10008.5.1.4.1.1.88.33', '1.2.826.0.1.9.3.1.6.1', '1.2.826.0.1.9.3.1.6', 'objects/1.2.3.3/1.2.826.0.1.9.3.1.6/1.2.826.0.1.9.3.1.6.1-0123456789abcdef.dcm', '00000000000000000000000000000000000000000000000000000000000013f3', 4001);
INSERT INTO public.result VALUES (5, '1.2.3.3', 1, 'summary', '1.2.840.10008.5.1.4.1.1.88.33', '1.2.826.0.1.9.3.1.7.1', '1.2.826.0.1.9.3.1.7', 'objects/1.2.3.3/1.2.826.0.1.9.3.1.7/1.2.826.0.1.9.3.1.7.1-0123456789abcdef.dcm', '00000000000000000000000000000000000000000000000000000000000013f4', 4001);
INSERT INTO public.result VALUES (6, '1.2.3.6', 1, 'report', '1.2.840.10008.5.1.4.1.1.88.33', '1.2.826.0.1.9.6.1.6.1', '1.2.826.0.1.9.6.1.6', 'objects/1.2.3.6/1.2.826.0.1.9.6.1.6/1.2.826.0.1.9.6.1.6.1-0123456789abcdef.dcm', '00000000000000000000000000000000000000000000000000000000000013f3', 4001);
INSERT INTO public.result VALUES (7, '1.2.3.6', 1, 'summary', '1.2.840.10008.5.1.4.1.1.88.33', '1.2.826.0.1.9.6.1.7.1', '1.2.826.0.1.9.6.1.7', 'objects/1.2.3.6/1.2.826.0.1.9.6.1.7/1.2.826.0.1.9.6.1.7.1-0123456789abcdef.dcm', '00000000000000000000000000000000000000000000000000000000000013f4', 4001);
INSERT INTO public.result VALUES (8, '1.2.3.6', 2, 'report', '1.2.840.10008.5.1.4.1.1.88.33', '1.2.826.0.1.9.6.2.6.1', '1.2.826.0.1.9.6.2.6', 'objects/1.2.3.6/1.2.826.0.1.9.6.2.6/1.2.826.0.1.9.6.2.6.1-0123456789abcdef.dcm', '0000000000000000000000000000000000000000000000000000000000001457', 4001);
INSERT INTO public.result VALUES (9, '1.2.3.3', 2, 'T2WI.segmentation', '1.2.840.10008.5.1.4.1.1.66.4', '1.2.826.0.1.9.3.1.17.1', '1.2.826.0.1.9.3.1.17', 'objects/1.2.3.3/1.2.826.0.1.9.3.1.17/1.2.826.0.1.9.3.1.17.1-0123456789abcdef.dcm', '00000000000000000000000000000000000000000000000000000000000013fe', 4001);
INSERT INTO public.result VALUES (10, '1.2.3.3', 2, 'report', '1.2.840.10008.5.1.4.1.1.88.33', '1.2.826.0.1.9.3.2.6.1', '1.2.826.0.1.9.3.2.6', 'objects/1.2.3.3/1.2.826.0.1.9.3.2.6/1.2.826.0.1.9.3.2.6.1-0123456789abcdef.dcm', '0000000000000000000000000000000000000000000000000000000000001457', 4001);
INSERT INTO public.returned VALUES (1, '1.2.3.5', '1.2.3.5.9', '1.2.840.10008.5.1.4.1.1.88.33', '1.2.3.5.9.1', '1.2.840.10008.1.2.1', 'objects/1.2.3.5/1.2.3.5.9/1.2.3.5.9.1-0000000000000029.dcm', '0000000000000000000000000000000000000000000000000000000000000029', 1041, 'SCANNER', '2026-11-30 08:00:41+00');
INSERT INTO public.returned VALUES (2, '1.2.3.77', '1.2.3.77.1', '1.2.840.10008.5.1.4.1.1.88.33', '1.2.3.77.1.1', '1.2.840.10008.1.2.1', 'objects/1.2.3.77/1.2.3.77.1/1.2.3.77.1.1-000000000000002a.dcm', '000000000000000000000000000000000000000000000000000000000000002a', 1042, 'SCANNER', '2026-11-30 08:00:42+00');
INSERT INTO public.study VALUES ('1.2.3.2', 1, 'QUEUED', 2, 6, '2026-11-30 08:00:07+00', '2026-11-30 08:00:12+00', false, 'E-INCOMPLETE: 3 of 4 instances of series 1.2.3.2.1 had arrived; the PACS has the rest');
INSERT INTO public.study VALUES ('1.2.3.5', 1, 'FAILED', 2, 6, '2026-11-30 08:00:25+00', '2026-11-30 08:00:30+00', false, 'the analysis broke off repeatedly');
INSERT INTO public.study VALUES ('1.2.3.4', 1, 'REFUSED', 2, 6, '2026-11-30 08:00:19+00', '2026-11-30 08:00:24+00', false, 'E-NO-SEQUENCE: nothing usable');
INSERT INTO public.study VALUES ('1.2.3.6', 2, 'COMPLETED', 2, 6, '2026-11-30 08:00:31+00', '2026-11-30 08:00:36+00', false, '');
INSERT INTO public.study VALUES ('1.2.3.3', 2, 'COMPLETED', 2, 6, '2026-11-30 08:00:13+00', '2026-11-30 08:00:40+00', true, '');
INSERT INTO public.study VALUES ('1.2.3.99', 1, 'RECEIVING', 1, 1, '2026-11-30 08:00:43+00', '2026-11-30 08:00:43+00', false, '');
INSERT INTO public.study VALUES ('1.2.3.1', 1, 'RECEIVING', 2, 6, '2026-11-30 08:00:01+00', '2026-11-30 08:00:43+00', true, 'waits for DWI');
INSERT INTO public.verdict VALUES ('1.2.3.2', 1, '{"series": []}');
INSERT INTO public.verdict VALUES ('1.2.3.3', 1, '{"series": [{"series": "1.2.3.3.1"}]}');
SELECT pg_catalog.setval('public.delivery_identifier_seq', 14, true);
SELECT pg_catalog.setval('public.instance_identifier_seq', 41, true);
SELECT pg_catalog.setval('public.quarantine_identifier_seq', 1, true);
SELECT pg_catalog.setval('public.rejection_identifier_seq', 2, true);
SELECT pg_catalog.setval('public.result_identifier_seq', 10, true);
SELECT pg_catalog.setval('public.returned_identifier_seq', 2, true);
ALTER TABLE ONLY public.association
    ADD CONSTRAINT association_pkey PRIMARY KEY (identifier, study_instance_uid);
ALTER TABLE ONLY public.delivery
    ADD CONSTRAINT delivery_pkey PRIMARY KEY (identifier);
ALTER TABLE ONLY public.delivery
    ADD CONSTRAINT delivery_sop_instance_uid_destination_key UNIQUE (sop_instance_uid, destination);
ALTER TABLE ONLY public.instance
    ADD CONSTRAINT instance_pkey PRIMARY KEY (identifier);
ALTER TABLE ONLY public.instance
    ADD CONSTRAINT instance_study_instance_uid_sop_instance_uid_revision_key UNIQUE (study_instance_uid, sop_instance_uid, revision);
ALTER TABLE ONLY public.meant_patient
    ADD CONSTRAINT meant_patient_pkey PRIMARY KEY (study_instance_uid);
ALTER TABLE ONLY public.quarantine
    ADD CONSTRAINT quarantine_path_calling_ae_reason_key UNIQUE (path, calling_ae, reason);
ALTER TABLE ONLY public.quarantine
    ADD CONSTRAINT quarantine_pkey PRIMARY KEY (identifier);
ALTER TABLE ONLY public.rejection
    ADD CONSTRAINT rejection_pkey PRIMARY KEY (identifier);
ALTER TABLE ONLY public.rejection
    ADD CONSTRAINT rejection_study_instance_uid_series_instance_uid_sop_instan_key UNIQUE (study_instance_uid, series_instance_uid, sop_instance_uid);
ALTER TABLE ONLY public.result
    ADD CONSTRAINT result_pkey PRIMARY KEY (identifier);
ALTER TABLE ONLY public.result
    ADD CONSTRAINT result_study_instance_uid_revision_sop_instance_uid_key UNIQUE (study_instance_uid, revision, sop_instance_uid);
ALTER TABLE ONLY public.returned
    ADD CONSTRAINT returned_path_key UNIQUE (path);
ALTER TABLE ONLY public.returned
    ADD CONSTRAINT returned_pkey PRIMARY KEY (identifier);
ALTER TABLE ONLY public.study
    ADD CONSTRAINT study_pkey PRIMARY KEY (study_instance_uid);
ALTER TABLE ONLY public.verdict
    ADD CONSTRAINT verdict_pkey PRIMARY KEY (study_instance_uid, revision);
CREATE INDEX association_by_study ON public.association USING btree (study_instance_uid, open_until);
CREATE INDEX delivery_by_result ON public.delivery USING btree (result);
CREATE INDEX delivery_due ON public.delivery USING btree (destination, state, next_attempt_at);
CREATE INDEX instance_by_series ON public.instance USING btree (study_instance_uid, series_instance_uid);
CREATE INDEX instance_by_uid ON public.instance USING btree (sop_instance_uid);
CREATE INDEX result_by_instance ON public.result USING btree (sop_instance_uid);
CREATE INDEX result_by_series ON public.result USING btree (series_instance_uid);
CREATE INDEX returned_by_instance ON public.returned USING btree (sop_instance_uid);
CREATE INDEX returned_by_series ON public.returned USING btree (series_instance_uid);
CREATE INDEX returned_by_study ON public.returned USING btree (study_instance_uid);
CREATE INDEX study_by_state ON public.study USING btree (state, last_received_at);
ALTER TABLE ONLY public.delivery
    ADD CONSTRAINT delivery_result_fkey FOREIGN KEY (result) REFERENCES public.result(identifier);
ALTER TABLE ONLY public.instance
    ADD CONSTRAINT instance_study_instance_uid_fkey FOREIGN KEY (study_instance_uid) REFERENCES public.study(study_instance_uid);
ALTER TABLE ONLY public.meant_patient
    ADD CONSTRAINT meant_patient_study_instance_uid_fkey FOREIGN KEY (study_instance_uid) REFERENCES public.study(study_instance_uid);
ALTER TABLE ONLY public.verdict
    ADD CONSTRAINT verdict_study_instance_uid_fkey FOREIGN KEY (study_instance_uid) REFERENCES public.study(study_instance_uid);
