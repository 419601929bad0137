CREATE TABLE association (
	identifier VARCHAR(32) NOT NULL, 
	study_instance_uid VARCHAR(64) NOT NULL, 
	open_until TIMESTAMP WITH TIME ZONE NOT NULL, 
	PRIMARY KEY (identifier, study_instance_uid)
);

CREATE INDEX association_by_study ON association (study_instance_uid, open_until);

CREATE TABLE quarantine (
	identifier BIGSERIAL NOT NULL, 
	path TEXT NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	size BIGINT NOT NULL, 
	reason TEXT NOT NULL, 
	calling_ae VARCHAR(16) NOT NULL, 
	received_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	PRIMARY KEY (identifier), 
	UNIQUE (path, calling_ae, reason)
);

CREATE TABLE result (
	identifier BIGSERIAL NOT NULL, 
	study_instance_uid VARCHAR(64) NOT NULL, 
	revision INTEGER NOT NULL, 
	role VARCHAR(64) NOT NULL, 
	sop_class_uid VARCHAR(64) NOT NULL, 
	sop_instance_uid VARCHAR(64) NOT NULL, 
	series_instance_uid VARCHAR(64) NOT NULL, 
	path TEXT NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	size BIGINT NOT NULL, 
	PRIMARY KEY (identifier), 
	UNIQUE (study_instance_uid, revision, sop_instance_uid)
);

CREATE INDEX result_by_instance ON result (sop_instance_uid);

CREATE TABLE study (
	study_instance_uid VARCHAR(64) NOT NULL, 
	revision INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	series_count INTEGER NOT NULL, 
	instance_count INTEGER NOT NULL, 
	first_received_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_received_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	changed BOOLEAN NOT NULL, 
	reason TEXT NOT NULL, 
	PRIMARY KEY (study_instance_uid)
);

CREATE INDEX study_by_state ON study (state, last_received_at);

CREATE TABLE delivery (
	identifier BIGSERIAL NOT NULL, 
	result BIGINT NOT NULL, 
	sop_instance_uid VARCHAR(64) NOT NULL, 
	destination VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_attempt_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	reason TEXT NOT NULL, 
	PRIMARY KEY (identifier), 
	UNIQUE (sop_instance_uid, destination), 
	FOREIGN KEY(result) REFERENCES result (identifier)
);

CREATE INDEX delivery_by_result ON delivery (result);

CREATE INDEX delivery_due ON delivery (destination, state, next_attempt_at);

CREATE TABLE instance (
	identifier BIGSERIAL NOT NULL, 
	study_instance_uid VARCHAR(64) NOT NULL, 
	series_instance_uid VARCHAR(64) NOT NULL, 
	sop_class_uid VARCHAR(64) NOT NULL, 
	sop_instance_uid VARCHAR(64) NOT NULL, 
	transfer_syntax_uid VARCHAR(64) NOT NULL, 
	revision INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	size BIGINT NOT NULL, 
	calling_ae VARCHAR(16) NOT NULL, 
	received_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	PRIMARY KEY (identifier), 
	UNIQUE (study_instance_uid, sop_instance_uid, revision), 
	FOREIGN KEY(study_instance_uid) REFERENCES study (study_instance_uid)
);

CREATE INDEX instance_by_series ON instance (study_instance_uid, series_instance_uid);

CREATE TABLE verdict (
	study_instance_uid VARCHAR(64) NOT NULL, 
	revision INTEGER NOT NULL, 
	document TEXT NOT NULL, 
	PRIMARY KEY (study_instance_uid, revision), 
	FOREIGN KEY(study_instance_uid) REFERENCES study (study_instance_uid)
);
